// The grpc-timeout header: up to eight digits and a unit (gRPC over HTTP/2, Requests).

const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000001 };

/** Milliseconds in the header's own form: of eight digits at most, so that long ones are told in whole seconds, minutes or hours. */
export function formatGrpcTimeout(duration: number): string {
  const ms = Math.round(duration);
  const largest = 99_999_999;
  if (ms <= largest) return `${ms}m`;
  if (ms / 1000 <= largest) return `${Math.floor(ms / 1000)}S`;
  return ms / 60_000 <= largest ? `${Math.floor(ms / 60_000)}M` : `${Math.floor(ms / 3_600_000)}H`;
}

/**
 * The timeout of a gRPC call under max_grpc_timeout; 0 = none.
 * @param maxMs 0 = as long as the header says
 * @param offsetMs taken off what the header says, where something remains
 */
export function grpcRouteTimeout(value: string | undefined, maxMs: number, offsetMs: number): number {
  const asked = parseGrpcTimeout(value) ?? 0;
  const timeoutMs = offsetMs < asked ? asked - offsetMs : asked;
  return maxMs > 0 && (timeoutMs === 0 || timeoutMs > maxMs) ? maxMs : timeoutMs;
}

/** The longest duration of a stream under grpc_timeout_header_max (0 = no bound), where the header asks for `askedMs`. */
export function grpcStreamDuration(askedMs: number, maxMs: number, offsetMs: number): number {
  const durationMs = maxMs > 0 && askedMs > maxMs ? maxMs : askedMs;
  return Math.max(durationMs - offsetMs, 0);
}

/** Milliseconds asked for, or undefined when absent or malformed (CVE-2021-28682: never a huge number). */
export function parseGrpcTimeout(value: string | undefined): number | undefined {
  const match = value === undefined ? null : /^([0-9]{1,8})([HMSmun])$/.exec(value);
  return match === null ? undefined : Math.ceil(Number(match[1]) * unitMs[match[2]!]!);
}
