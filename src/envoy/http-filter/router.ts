// Envoy extensions.filters.http.router.v3.Router, narrowed.
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { bool } from "../decode/scalars.ts";

/** Canonical name of the router filter. */
export const routerExtension = "envoy.filters.http.router";

/** Router. */
export interface RouterConfig {
  /** No `x-envoy-*` headers are added to requests and responses. */
  readonly suppressEnvoyHeaders: boolean;
  /** `x-envoy-expected-rq-timeout-ms` of the request is taken as the timeout. */
  readonly respectExpectedRqTimeout: boolean;
}

/** Router. */
export const decodeRouter: Decoder<RouterConfig> = message("envoy.extensions.filters.http.router.v3.Router", (m) => {
  // Stats that are always or never kept, and spans of tracing.
  m.accept("dynamic_stats", "start_child_span", "suppress_grpc_request_failure_code_stats");
  m.refuse("upstream HTTP filters", "upstream_http_filters");
  return {
    suppressEnvoyHeaders: m.field("suppress_envoy_headers", bool, false),
    respectExpectedRqTimeout: m.field("respect_expected_rq_timeout", bool, false),
  };
});
