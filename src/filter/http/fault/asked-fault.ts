// Faults that a request asks for by header, where the configuration lets it.
import type { AbortStatus } from "../../../envoy/http-filter/fault.ts";
import type { WrittenPercent } from "../../../envoy/percent.ts";
import type { HeaderMap } from "../../../wire/header-map.ts";

/** The status to abort with; the HTTP one comes first where both are asked for. */
export function askedAbort(headers: HeaderMap): AbortStatus | undefined {
  const status = numberOf(headers, "x-envoy-fault-abort-request");
  if (status !== undefined && status >= 200 && status < 600) return { kind: "http", code: status };
  const code = numberOf(headers, "x-envoy-fault-abort-grpc-request");
  return code === undefined ? undefined : { kind: "grpc", code };
}

/** Milliseconds to wait. */
export function askedDelayMs(headers: HeaderMap): number | undefined {
  return numberOf(headers, "x-envoy-fault-delay-request");
}

/** KiB a second that the response may have. */
export function askedKibPerSecond(headers: HeaderMap): number | undefined {
  return numberOf(headers, "x-envoy-fault-throughput-response");
}

/** The share that a header asks for: never more than the configuration has, and in its denominator. */
export function askedShare(headers: HeaderMap, name: string, configured: WrittenPercent): WrittenPercent {
  const numerator = numberOf(headers, name);
  return numerator === undefined ? configured : { ...configured, numerator: Math.min(numerator, configured.numerator) };
}

// What absl::SimpleAtoi takes for an unsigned number, of at most as many digits as a timer understands.
function numberOf(headers: HeaderMap, name: string): number | undefined {
  const text = headers.get(name);
  return text !== undefined && /^\s*\+?[0-9]{1,9}\s*$/.test(text) ? Number(text) : undefined;
}
