// Probes of the application, asked by this process: kubelet has no mesh certificate, so its own would fail under STRICT mTLS.
import type { IncomingHttpHeaders } from "node:http";
import { connect, isIPv6 } from "node:net";
import type { TcpNetConnectOpts } from "node:net";
import type { HttpAnswer } from "../net/http-server.ts";
import type { Logger } from "../telemetry/logger.ts";
import { type Fetched, fetchLocal } from "./http-fetch.ts";
import { checkGrpcHealth } from "./grpc-health.ts";
import type { AppProbe } from "./settings.ts";
import { plain } from "./status-answer.ts";

/** What probing needs to know. */
export interface ProbeContext {
  /** The pod's address, or undefined for loopback. */
  readonly podAddress: string | undefined;
  /** The port that the probe came in on: a `host` header with it gets the application's instead. */
  readonly statusPort: number;
  readonly logger: Logger;
}

/** As kubelet: so much of an answer is kept. */
const maxBodyBytes = 10 * 1024;
const maxRedirects = 10;
// Headers of the connection to this process say nothing about the one to the application.
const ownHeaders = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "content-length", "upgrade", "te"]);

/** Asks and gives what kubelet is told: the application's status and the beginning of its body, or 500. */
export async function answerProbe(probe: AppProbe, headers: IncomingHttpHeaders, context: ProbeContext): Promise<HttpAnswer> {
  const { action, timeoutMs } = probe;
  const target = targetOf(action.port, context.podAddress);
  try {
    if (action.kind === "http") return await askHttp({ ...probe, action }, headers, context);
    if (action.kind === "tcp") await dial(target, timeoutMs);
    else if (!(await checkGrpcHealth(target, action.service, timeoutMs))) return plain("not serving\n", 500);
    return plain("");
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    context.logger.debug("a probe of the application failed", { kind: action.kind, port: action.port, reason });
    return plain(`${reason}\n`, 500);
  }
}

// 127.0.0.6 (`::6`) is the source that Istio's rules let pass to the application itself, without the inbound listener.
function targetOf(port: number, podAddress: string | undefined): TcpNetConnectOpts & { readonly host: string } {
  if (podAddress === undefined || podAddress === "::1" || podAddress.startsWith("127.")) return { host: podAddress ?? "127.0.0.1", port };
  return { host: podAddress, port, localAddress: isIPv6(podAddress) ? "::6" : "127.0.0.6" };
}

function dial(target: TcpNetConnectOpts, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(target);
    const deadline = setTimeout(() => socket.destroy(new Error(`no connection within ${timeoutMs} ms`)), timeoutMs);
    socket.on("connect", () => {
      resolve();
      socket.destroy();
    });
    socket.on("error", reject);
    socket.on("close", () => clearTimeout(deadline));
  });
}

type HttpProbe = AppProbe & { readonly action: Extract<AppProbe["action"], { readonly kind: "http" }> };

async function askHttp({ action, timeoutMs }: HttpProbe, headers: IncomingHttpHeaders, context: ProbeContext): Promise<HttpAnswer> {
  const { host, localAddress } = targetOf(action.port, context.podAddress);
  const base = { host, localAddress, maxBytes: maxBodyBytes, beyond: "cut" } as const;
  const passed = Object.fromEntries(Object.entries(headers).filter(([name]) => !ownHeaders.has(name)));
  const endMs = performance.now() + timeoutMs;
  let { scheme, port, path } = action;
  for (let redirects = 0; ; redirects++) {
    const fetched: Fetched = await fetchLocal({
      ...base,
      scheme,
      port,
      path,
      headers: { ...passed, host: hostHeader(headers.host, port, context.statusPort) },
      timeoutMs: Math.max(1, endMs - performance.now()),
    });
    if (fetched.status < 300 || fetched.status >= 400) return { status: fetched.status, body: fetched.body };
    const next = redirectOf(fetched, { scheme, host, port, path });
    // A redirect to elsewhere is a good answer to kubelet, which does not follow it.
    if (next === undefined) return plain("");
    if (redirects === maxRedirects) throw new Error(`more than ${maxRedirects} redirects`);
    ({ scheme, port, path } = next);
  }
}

interface Place {
  readonly scheme: "http" | "https";
  readonly host: string;
  readonly port: number;
  readonly path: string;
}

function redirectOf(fetched: Fetched, from: Place): Place | undefined {
  const host = from.host.includes(":") ? `[${from.host}]` : from.host;
  const base = `${from.scheme}://${host}:${from.port}${from.path}`;
  const { location } = fetched.headers;
  if (location === undefined || !URL.canParse(location, base)) return undefined;
  const url = new URL(location, base);
  if (url.hostname !== host || (url.protocol !== "http:" && url.protocol !== "https:")) return undefined;
  const scheme = url.protocol === "https:" ? "https" : "http";
  return { scheme, host: from.host, port: Number(url.port) || (scheme === "https" ? 443 : 80), path: `${url.pathname}${url.search}` };
}

function hostHeader(given: string | undefined, port: number, statusPort: number): string {
  if (given === undefined || given === "") return `localhost:${port}`;
  const suffix = `:${statusPort}`;
  return given.endsWith(suffix) ? `${given.slice(0, -suffix.length)}:${port}` : given;
}
