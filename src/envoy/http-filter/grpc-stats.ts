// Envoy extensions.filters.http.grpc_stats.v3.FilterConfig: counters of gRPC calls by cluster and, where asked for, method.
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { bool, list, nonEmpty } from "../decode/scalars.ts";

/** FilterConfig. */
export interface GrpcStatsConfig {
  /** Message counts go into the filter state `envoy.filters.http.grpc_stats`, for access logs. */
  readonly emitFilterState: boolean;
  /** Every method has counters of its own, or those listed; all others share the cluster's. */
  readonly methods: "all" | readonly { readonly service: string; readonly method: string }[];
  /** `upstream_rq_time` is recorded too. */
  readonly enableUpstreamStats: boolean;
  /** With "all", `a.B` is written `a_B`. */
  readonly replaceDots: boolean;
}

const decodeService = message("envoy.config.core.v3.GrpcMethodList.Service", (m) => {
  const service = m.required("name", nonEmpty);
  return m.required("method_names", list(nonEmpty, { min: 1 })).map((method) => ({ service, method }));
});

const decodeMethods = message("envoy.config.core.v3.GrpcMethodList", (m) => m.field("services", list(decodeService), []).flat());

/** FilterConfig. */
export const decodeGrpcStats: Decoder<GrpcStatsConfig> = message("envoy.extensions.filters.http.grpc_stats.v3.FilterConfig", (m) => ({
  emitFilterState: m.field("emit_filter_state", bool, false),
  methods:
    m.oneof<GrpcStatsConfig["methods"]>({
      individual_method_stats_allowlist: decodeMethods,
      stats_for_all_methods: (json, at) => (bool(json, at) ? "all" : []),
    }) ?? [],
  enableUpstreamStats: m.field("enable_upstream_stats", bool, false),
  replaceDots: m.field("replace_dots_in_grpc_service_name", bool, false),
}));
