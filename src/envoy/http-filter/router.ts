// Envoy extensions.filters.http.router.v3.Router, narrowed.
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { bool, list, text } from "../decode/scalars.ts";

/** Canonical name of the router filter. */
export const routerExtension = "envoy.filters.http.router";

/** Router. */
export interface RouterConfig {
  /** No `x-envoy-*` headers are added to requests and responses. */
  readonly suppressEnvoyHeaders: boolean;
  /** `x-envoy-expected-rq-timeout-ms` of the request is taken as the timeout. */
  readonly respectExpectedRqTimeout: boolean;
  /** Control headers whose values are checked: a request with one that says nothing is answered with 400. */
  readonly strictCheckHeaders: readonly string[];
}

/** The headers that strict_check_headers may name. */
const strictlyCheckable: readonly string[] = [
  "x-envoy-upstream-rq-timeout-ms",
  "x-envoy-upstream-rq-per-try-timeout-ms",
  "x-envoy-max-retries",
  "x-envoy-retry-grpc-on",
  "x-envoy-retry-on",
];

const checkable: Decoder<string> = (json, at) => {
  const name = text(json, at);
  if (!strictlyCheckable.includes(name)) at.error(`expected one of ${strictlyCheckable.join(", ")}`);
  return name;
};

/** Router. */
export const decodeRouter: Decoder<RouterConfig> = message("envoy.extensions.filters.http.router.v3.Router", (m) => {
  // Stats that are always or never kept, and spans of tracing.
  m.accept("dynamic_stats", "start_child_span", "suppress_grpc_request_failure_code_stats");
  m.refuse("upstream HTTP filters", "upstream_http_filters");
  return {
    suppressEnvoyHeaders: m.field("suppress_envoy_headers", bool, false),
    strictCheckHeaders: m.field("strict_check_headers", list(checkable), []),
    respectExpectedRqTimeout: m.field("respect_expected_rq_timeout", bool, false),
  };
});
