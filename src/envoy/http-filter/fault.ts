// Envoy extensions.filters.http.fault.v3.HTTPFault, narrowed to fixed delays and aborts.
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { integer, list, nonEmpty, positiveDuration, text, uint32 } from "../decode/scalars.ts";
import { decodeFractionalPercent } from "../percent.ts";
import { decodeHeaderMatcher, type HeaderMatcher } from "../string-matcher.ts";

/** HTTPFault; also its per-route form. */
export interface FaultConfig {
  /** `fraction` is a share of 0..1. */
  readonly delay?: { readonly fixedDelayMs: number; readonly fraction: number };
  readonly abort?: { readonly status: { readonly kind: "http" | "grpc"; readonly code: number }; readonly fraction: number };
  /** Only requests to this cluster; empty = all. */
  readonly upstreamCluster: string;
  /** All must match. */
  readonly headers: readonly HeaderMatcher[];
  /** Only requests whose `x-envoy-downstream-service-node` is among these; empty = all. */
  readonly downstreamNodes: readonly string[];
  /** Undefined = unlimited. */
  readonly maxActiveFaults?: number;
}

const headerControlled = "faults that the client chooses by header";

const decodeDelay = message("envoy.extensions.filters.common.fault.v3.FaultDelay", (m) => {
  m.refuse(headerControlled, "header_delay");
  return { fixedDelayMs: m.required("fixed_delay", positiveDuration), fraction: m.field("percentage", decodeFractionalPercent, 0) };
});

type AbortStatus = NonNullable<FaultConfig["abort"]>["status"];
const httpStatus = integer(200, 599);

const decodeAbort = message("envoy.extensions.filters.http.fault.v3.FaultAbort", (m) => {
  m.refuse(headerControlled, "header_abort");
  return {
    status: m.requiredOneof<AbortStatus>(
      {
        http_status: (json, at) => ({ kind: "http", code: httpStatus(json, at) }),
        grpc_status: (json, at) => ({ kind: "grpc", code: uint32(json, at) }),
      },
      { kind: "http", code: 503 },
    ),
    fraction: m.field("percentage", decodeFractionalPercent, 0),
  };
});

/** HTTPFault. */
export const decodeFault: Decoder<FaultConfig> = message("envoy.extensions.filters.http.fault.v3.HTTPFault", (m) => {
  m.accept("disable_downstream_cluster_stats");
  // There is no runtime to override the values with.
  m.accept("delay_percent_runtime", "abort_percent_runtime", "delay_duration_runtime", "abort_http_status_runtime");
  m.accept("max_active_faults_runtime", "response_rate_limit_percent_runtime", "abort_grpc_status_runtime");
  m.refuse("throttling responses", "response_rate_limit");
  return {
    ...m.maybe("delay", "delay", decodeDelay),
    ...m.maybe("abort", "abort", decodeAbort),
    upstreamCluster: m.field("upstream_cluster", text, ""),
    headers: m.field("headers", list(decodeHeaderMatcher), []),
    downstreamNodes: m.field("downstream_nodes", list(nonEmpty), []),
    ...m.maybe("maxActiveFaults", "max_active_faults", uint32),
  };
});

/** True when this configuration injects nothing. */
export function isInertFault(config: unknown): boolean {
  const fault = config as FaultConfig;
  return fault.delay === undefined && fault.abort === undefined;
}
