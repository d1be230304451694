// The grpc-timeout header: up to eight digits and a unit (gRPC over HTTP/2, Requests).

const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000001 };

/** Milliseconds asked for, or undefined when absent or malformed (CVE-2021-28682: never a huge number). */
export function parseGrpcTimeout(value: string | undefined): number | undefined {
  const match = value === undefined ? null : /^([0-9]{1,8})([HMSmun])$/.exec(value);
  return match === null ? undefined : Math.ceil(Number(match[1]) * unitMs[match[2]!]!);
}

/** Milliseconds as the header says them; eight digits at most, so that long ones are told in whole seconds. */
export function formatGrpcTimeout(ms: number): string {
  const whole = Math.round(ms);
  return whole <= 99_999_999 ? `${whole}m` : `${Math.min(Math.floor(whole / 1000), 99_999_999)}S`;
}
