// Envoy extensions.filters.http.fault.v3.HTTPFault, narrowed: delays, aborts and throttled responses, fixed or as requests ask.
import type { Decoder } from "../decode/cursor.ts";
import { emptyMessage, message } from "../decode/message.ts";
import { integer, list, nonEmpty, positiveDuration, text, uint32 } from "../decode/scalars.ts";
import { decodeWrittenPercent, type WrittenPercent } from "../percent.ts";
import { decodeHeaderMatcher, type HeaderMatcher } from "../string-matcher.ts";

/** What an aborted request is answered with. */
export interface AbortStatus {
  readonly kind: "http" | "grpc";
  readonly code: number;
}

/** HTTPFault; also its per-route form. */
export interface FaultConfig {
  /** `fixedDelayMs` undefined: requests say it by header. */
  readonly delay?: { readonly fixedDelayMs: number | undefined; readonly share: WrittenPercent };
  /** `status` undefined: requests say it by header. */
  readonly abort?: { readonly status: AbortStatus | undefined; readonly share: WrittenPercent };
  /** Responses are slowed down to so many KiB a second; undefined: requests say it by header. */
  readonly responseRate?: { readonly kibPerSecond: number | undefined; readonly share: WrittenPercent };
  /** Only requests to this cluster; empty = all. */
  readonly upstreamCluster: string;
  /** All must match. */
  readonly headers: readonly HeaderMatcher[];
  /** Only requests whose `x-envoy-downstream-service-node` is among these; empty = all. */
  readonly downstreamNodes: readonly string[];
  /** Undefined = unlimited. */
  readonly maxActiveFaults?: number;
}

/** A value of the configuration's, or undefined where requests say it. */
interface Asked<T> {
  readonly value: T | undefined;
}

const nobody: WrittenPercent = { numerator: 0, denominator: 100 };

const byHeader = (decode: Decoder<true>): Decoder<Asked<never>> => {
  return (json, at) => (decode(json, at), { value: undefined });
};
const fixed =
  <T>(decode: Decoder<T>): Decoder<Asked<T>> =>
  (json, at) => ({ value: decode(json, at) });

const headerDelay = emptyMessage("envoy.extensions.filters.common.fault.v3.FaultDelay.HeaderDelay");
const headerAbort = emptyMessage("envoy.extensions.filters.http.fault.v3.FaultAbort.HeaderAbort");
const headerLimit = emptyMessage("envoy.extensions.filters.common.fault.v3.FaultRateLimit.HeaderLimit");

const decodeDelay = message("envoy.extensions.filters.common.fault.v3.FaultDelay", (m) => {
  const kinds = { fixed_delay: fixed(positiveDuration), header_delay: byHeader(headerDelay) };
  return {
    fixedDelayMs: m.requiredOneof<Asked<number>>(kinds, { value: undefined }).value,
    share: m.field("percentage", decodeWrittenPercent, nobody),
  };
});

const httpStatus = integer(200, 599);

const decodeAbort = message("envoy.extensions.filters.http.fault.v3.FaultAbort", (m) => {
  const kinds: Readonly<Record<string, Decoder<Asked<AbortStatus>>>> = {
    http_status: fixed((json, at) => ({ kind: "http", code: httpStatus(json, at) })),
    grpc_status: fixed((json, at) => ({ kind: "grpc", code: uint32(json, at) })),
    header_abort: byHeader(headerAbort),
  };
  return {
    status: m.requiredOneof<Asked<AbortStatus>>(kinds, { value: undefined }).value,
    share: m.field("percentage", decodeWrittenPercent, nobody),
  };
});

const decodeFixedLimit = message("envoy.extensions.filters.common.fault.v3.FaultRateLimit.FixedLimit", (m) =>
  m.required("limit_kbps", integer(1, Number.MAX_SAFE_INTEGER)),
);

const decodeRateLimit = message("envoy.extensions.filters.common.fault.v3.FaultRateLimit", (m) => {
  const kinds = { fixed_limit: fixed(decodeFixedLimit), header_limit: byHeader(headerLimit) };
  return {
    kibPerSecond: m.requiredOneof<Asked<number>>(kinds, { value: undefined }).value,
    share: m.field("percentage", decodeWrittenPercent, nobody),
  };
});

/** HTTPFault. */
export const decodeFault: Decoder<FaultConfig> = message("envoy.extensions.filters.http.fault.v3.HTTPFault", (m) => {
  m.accept("disable_downstream_cluster_stats");
  // There is no runtime to override the values with.
  m.accept("delay_percent_runtime", "abort_percent_runtime", "delay_duration_runtime", "abort_http_status_runtime");
  m.accept("max_active_faults_runtime", "response_rate_limit_percent_runtime", "abort_grpc_status_runtime");
  return {
    ...m.maybe("delay", "delay", decodeDelay),
    ...m.maybe("abort", "abort", decodeAbort),
    ...m.maybe("responseRate", "response_rate_limit", decodeRateLimit),
    upstreamCluster: m.field("upstream_cluster", text, ""),
    headers: m.field("headers", list(decodeHeaderMatcher), []),
    downstreamNodes: m.field("downstream_nodes", list(nonEmpty), []),
    ...m.maybe("maxActiveFaults", "max_active_faults", uint32),
  };
});

/** True when this configuration injects nothing. */
export function isInertFault(config: unknown): boolean {
  const { delay, abort, responseRate } = config as FaultConfig;
  return delay === undefined && abort === undefined && responseRate === undefined;
}
