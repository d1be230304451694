// Node's socket errors as ProxyErrors, with the words Envoy uses for them. The only place that looks at errno names.
import { ProxyError } from "../error.ts";
import type { ProxyErrorCode } from "../error.ts";

// glibc's strerror texts, which Envoy prints into its failure reasons; logs and dashboards match on them.
const texts: Readonly<Record<string, string>> = {
  EACCES: "Permission denied",
  EADDRINUSE: "Address already in use",
  EADDRNOTAVAIL: "Cannot assign requested address",
  EAFNOSUPPORT: "Address family not supported by protocol",
  ECONNABORTED: "Software caused connection abort",
  ECONNREFUSED: "Connection refused",
  ECONNRESET: "Connection reset by peer",
  EHOSTUNREACH: "No route to host",
  EINVAL: "Invalid argument",
  EMFILE: "Too many open files",
  ENFILE: "Too many open files in system",
  ENETDOWN: "Network is down",
  ENETUNREACH: "Network is unreachable",
  ENOENT: "No such file or directory",
  EPERM: "Operation not permitted",
  EPIPE: "Broken pipe",
  ETIMEDOUT: "Connection timed out",
};

// What connect(2) on a non-blocking socket can only learn later; everything else fails in the call itself.
const delayed: ReadonlySet<string> = new Set(["ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "ETIMEDOUT", "ECONNABORTED"]);

/** The errno name of a Node error (`ECONNREFUSED`), or an empty string. */
export function errnoOf(thrown: unknown): string {
  const code = thrown instanceof Error ? (thrown as NodeJS.ErrnoException).code : undefined;
  return typeof code === "string" ? code : "";
}

/** True when the process, or the machine, has no descriptor left. */
export function lacksDescriptor(thrown: unknown): boolean {
  const errno = errnoOf(thrown);
  return errno === "EMFILE" || errno === "ENFILE";
}

/** A failed connect to an upstream; the reason reads like Envoy's, `delayed connect error: Connection refused`. */
export function connectError(thrown: unknown): ProxyError {
  if (thrown instanceof ProxyError) return thrown;
  const errno = errnoOf(thrown);
  const code: ProxyErrorCode =
    errno === "ECONNREFUSED" ? "upstream_connect_refused" : errno === "ETIMEDOUT" ? "upstream_connect_timeout" : "upstream_connect_failed";
  const reason = `${delayed.has(errno) ? "delayed" : "immediate"} connect error: ${textOf(thrown, errno)}`;
  return new ProxyError(code, { side: "upstream", retryable: true, reason, cause: thrown });
}

function textOf(thrown: unknown, errno: string): string {
  return texts[errno] ?? (thrown instanceof Error ? thrown.message : String(thrown));
}
