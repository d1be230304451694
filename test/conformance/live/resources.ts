// The bootstrap both proxies get: every listener on a port of the kernel's choice, every cluster on the origins' ports.
import {
  always,
  cluster,
  cors,
  direct,
  everything,
  exactHeader,
  fault,
  filter,
  header,
  http2Upstream,
  limit,
  listener,
  manager,
  perRouteRbac,
  percent,
  policy,
  prefix,
  retry,
  routeFilter,
  router,
  tcp,
  to,
  v3,
} from "./builders.ts";
import type { Origins } from "./origins.ts";
import { formatsPart } from "./parts/formats.ts";
import { outlierPart } from "./parts/outlier.ts";
import { streamTimersPart } from "./parts/stream-timers.ts";
import { webPart } from "./parts/web.ts";

/** Routes of host lab at listener main; the first that matches wins. */
const mainRoutes: readonly object[] = [
  // matching
  { name: "exact", match: { path: "/exact" }, ...direct("exact") },
  { name: "exact-ci", match: { path: "/Exact-CI", case_sensitive: false }, ...direct("exact-ci") },
  { name: "separated", match: { path_separated_prefix: "/sep" }, ...direct("separated") },
  { name: "regex", match: { safe_regex: { regex: "/rx/[a-z]+(/\\d{2,3})?" } }, ...direct("regex") },
  {
    name: "template",
    match: {
      path_match_policy: {
        name: "envoy.path.match.uri_template.uri_template_matcher",
        typed_config: { "@type": `${v3}.extensions.path.match.uri_template.v3.UriTemplateMatchConfig`, path_template: "/tpl/{a}/x/{b=**}" },
      },
    },
    ...direct("template"),
  },
  prefix("/m", direct("and"), {
    headers: [
      { name: "x-a", string_match: { exact: "1" } },
      { name: "x-b", present_match: true },
    ],
  }),
  prefix("/m", direct("h-prefix-ci"), exactHeader("x-c", { string_match: { prefix: "Ab", ignore_case: true } })),
  prefix("/m", direct("h-contains"), exactHeader("x-d", { string_match: { contains: "mid" } })),
  prefix("/m", direct("h-regex"), exactHeader("x-e", { string_match: { safe_regex: { regex: "v[0-9]+" } } })),
  prefix("/m", direct("h-range"), exactHeader("x-f", { range_match: { start: -5, end: 5 } })),
  prefix("/m", direct("h-missing-as-empty"), {
    headers: [
      { name: "x-g", string_match: { exact: "" }, treat_missing_header_as_empty: true },
      { name: "x-want-g", present_match: true },
    ],
  }),
  prefix("/m", direct("method"), exactHeader(":method", { string_match: { exact: "PUT" } })),
  prefix("/m", direct("authority"), exactHeader(":authority", { string_match: { suffix: ":81" } })),
  prefix("/m", direct("q-regex"), { query_parameters: [{ name: "v", string_match: { safe_regex: { regex: "\\d+" } } }] }),
  prefix("/m", direct("q-present"), { query_parameters: [{ name: "p", present_match: true }] }),
  prefix("/m", direct("q-exact"), { query_parameters: [{ name: "e", string_match: { exact: "a b" } }] }),
  prefix("/m", direct("not-present"), exactHeader("x-h", { present_match: true, invert_match: true })),
  prefix("/m", direct("never"), { runtime_fraction: { default_value: percent(0) } }),
  prefix("/m", direct("rest of m")),
  // rewriting
  prefix("/rw/slash/", to("http", { prefix_rewrite: "/new/" })),
  prefix("/rw/strip", to("http", { prefix_rewrite: "/" })),
  prefix("/rw/ci", to("http", { prefix_rewrite: "/q" }), { case_sensitive: false }),
  prefix("/rw/rx/", to("http", { regex_rewrite: { pattern: { regex: "^/rw/rx/([^/]+)/(.*)$" }, substitution: "/\\2/of/\\1" } })),
  prefix("/rw/all/", to("http", { regex_rewrite: { pattern: { regex: "aa" }, substitution: "b" } })),
  { name: "rw-exact", match: { path: "/rw/exact" }, ...to("http", { prefix_rewrite: "/was-exact" }) },
  prefix("/rw/host-header", to("http", { host_rewrite_header: "x-new-host" })),
  prefix("/rw/host-path/", to("http", { host_rewrite_path_regex: { pattern: { regex: "^/rw/host-path/(.+)$" }, substitution: "\\1" } })),
  // redirects
  prefix("/rd/scheme", { redirect: { scheme_redirect: "https" } }),
  prefix("/rd/host-port", { redirect: { host_redirect: "other", port_redirect: 8080 } }),
  prefix("/rd/see", { redirect: { path_redirect: "/there?x=1", response_code: "SEE_OTHER" } }),
  prefix("/rd/prefix", { redirect: { prefix_rewrite: "/rp", response_code: "TEMPORARY_REDIRECT" } }),
  prefix("/rd/regex/", {
    redirect: { regex_rewrite: { pattern: { regex: "^/rd/regex/(.*)$" }, substitution: "/x/\\1" }, strip_query: true },
  }),
  prefix("/rd/add", { redirect: { https_redirect: true }, response_headers_to_add: [header("x-added", "on redirect")] }),
  // direct responses
  prefix("/dr/500", direct("broken", 500)),
  prefix("/dr/empty", { direct_response: { status: 204 } }),
  prefix("/dr/headers", {
    ...direct("h"),
    response_headers_to_add: [header("x-d", "%REQ(x-in)%"), header("content-type", "text/x", "OVERWRITE_IF_EXISTS_OR_ADD")],
  }),
  // header mutation
  {
    ...prefix("/hm/request", to("http")),
    request_headers_to_add: [
      header("x-append", "two"),
      header("x-overwrite", "new", "OVERWRITE_IF_EXISTS_OR_ADD"),
      header("x-only-new", "new", "ADD_IF_ABSENT"),
      header("x-only-old", "new", "OVERWRITE_IF_EXISTS"),
      header("x-empty", "%REQ(x-none)%", "APPEND_IF_EXISTS_OR_ADD", { keep_empty_value: true }),
      header("x-dropped", "%REQ(x-none)%"),
      header("x-mixed", "%REQ(x-in?x-alt):3%/%PROTOCOL%/%REQ(:METHOD)%/100%%"),
    ],
    request_headers_to_remove: ["x-secret", "x-in"],
  },
  {
    ...prefix("/hm/response", to("http", { prefix_rewrite: "/" })),
    response_headers_to_add: [
      header("x-m", "added"),
      header("x-code", "%RESPONSE_CODE%/%RESPONSE_FLAGS%/%ROUTE_NAME%"),
      header("server", "mine", "OVERWRITE_IF_EXISTS_OR_ADD"),
    ],
    response_headers_to_remove: ["set-cookie", "content-type"],
  },
  {
    ...prefix("/hm/weighted", {
      route: {
        weighted_clusters: {
          clusters: [
            {
              name: "http",
              weight: 1,
              request_headers_to_add: [header("x-cluster", "http")],
              response_headers_to_add: [header("x-from", "http")],
            },
            { name: "empty", weight: 0 },
          ],
        },
      },
    }),
    request_headers_to_add: [header("x-cluster", "route")],
  },
  prefix("/hm/cluster-header", { route: { cluster_header: "x-to" } }),
  // retries, timeouts, faults
  prefix("/re/5xx/", to("http", retry("5xx", 2))),
  prefix("/re/gw/", to("http", retry("gateway-error", 1))),
  prefix("/re/reset/", to("http", retry("reset", 2))),
  prefix("/re/4xx/", to("http", retry("retriable-4xx", 1))),
  prefix("/re/codes/", to("http", retry("retriable-status-codes", 1, { retriable_status_codes: [404, 429] }))),
  prefix(
    "/re/header/",
    to("http", retry("retriable-headers", 1, { retriable_headers: [{ name: "content-length", string_match: { exact: "9" } }] })),
  ),
  prefix("/re/connect", to("refused", retry("connect-failure", 1))),
  prefix("/re/none/", to("http", { prefix_rewrite: "/" })),
  prefix("/to/route", to("silent", { timeout: "0.2s" })),
  prefix(
    "/to/try",
    to("silent", {
      timeout: "0.8s",
      retry_policy: { retry_on: "5xx", num_retries: 1, per_try_timeout: "0.15s", retry_back_off: { base_interval: "0.005s" } },
    }),
  ),
  prefix("/to/idle", to("silent", { timeout: "0s", idle_timeout: "0.2s" })),
  prefix("/to/stream", to("silent", { timeout: "0s", max_stream_duration: { max_stream_duration: "0.2s" } })),
  prefix(
    "/to/grpc",
    to("silent", { timeout: "0s", max_stream_duration: { grpc_timeout_header_max: "0.3s", grpc_timeout_header_offset: "0.02s" } }),
  ),
  prefix("/up/none", to("empty")),
  prefix("/up/unknown", to("nowhere")),
  prefix("/up/unknown-500", to("nowhere", { cluster_not_found_response_code: "INTERNAL_SERVER_ERROR" })),
  prefix("/up/refused", to("refused")),
  prefix("/up/busy", to("narrow")),
  prefix("/up/h2/", to("http2", { prefix_rewrite: "/" })),
  prefix(
    "/ir/",
    to("http", { prefix_rewrite: "/", internal_redirect_policy: { max_internal_redirects: 1, redirect_response_codes: [302] } }),
  ),
  prefix(
    "/hash",
    to("http", { hash_policy: [{ cookie: { name: "stick", ttl: "60s", path: "/p", attributes: [{ name: "SameSite", value: "Lax" }] } }] }),
  ),
  prefix("/ws/", to("http", { prefix_rewrite: "/", upgrade_configs: [{ upgrade_type: "websocket" }] })),
  prefix("/grpc-only", direct("grpc"), { grpc: {} }),
  prefix("/o/", to("http", { prefix_rewrite: "/" })),
  prefix("/", to("http")),
];

const mainHosts: readonly object[] = [
  {
    name: "lab",
    domains: ["lab", "lab:81", "*.deep.lab"],
    include_request_attempt_count: true,
    include_attempt_count_in_response: true,
    response_headers_to_add: [header("x-vhost", "lab")],
    routes: mainRoutes,
  },
  { name: "tls", domains: ["secure.lab"], require_tls: "EXTERNAL_ONLY", routes: [prefix("/", direct("secure"))] },
  { name: "suffix", domains: ["*.lab"], routes: [prefix("/", direct("*.lab"))] },
  { name: "prefix", domains: ["lab.*"], routes: [prefix("/", direct("lab.*"))] },
  { name: "v6", domains: ["[::1]", "[::1]:8080"], routes: [prefix("/", direct("v6"))] },
];

const oneToken = { max_tokens: 1, tokens_per_fill: 1, fill_interval: "600s" };

/** Routes of listener filters. */
const filterRoutes: readonly object[] = [
  prefix("/cors/some", {
    ...direct("c"),
    ...routeFilter(
      "cors",
      cors({
        allow_origin_string_match: [{ suffix: ".ok.test" }, { safe_regex: { regex: "https://r[0-9]" } }],
        allow_methods: "GET, PUT",
        allow_headers: "x-a,x-b",
        expose_headers: "x-c",
        max_age: "60",
      }),
    ),
  }),
  prefix("/cors/any", {
    ...direct("c"),
    ...routeFilter("cors", cors({ allow_origin_string_match: [{ safe_regex: { regex: ".*" } }], allow_credentials: true })),
  }),
  prefix("/cors/upstream", {
    ...to("http", { prefix_rewrite: "/" }),
    ...routeFilter("cors", cors({ allow_origin_string_match: [{ exact: "https://a" }], forward_not_matching_preflights: false })),
  }),
  prefix("/cors/private", {
    ...direct("c"),
    ...routeFilter("cors", cors({ allow_origin_string_match: [{ exact: "https://a" }], allow_private_network_access: true })),
  }),
  prefix("/rbac/method", {
    ...direct("r"),
    ...perRouteRbac("ALLOW", policy({ header: { name: ":method", string_match: { exact: "GET" } } })),
  }),
  prefix("/rbac/path", { ...direct("r"), ...perRouteRbac("DENY", policy({ url_path: { path: { prefix: "/rbac/path/secret" } } })) }),
  prefix("/rbac/not", {
    ...direct("r"),
    ...perRouteRbac("ALLOW", policy({ not_rule: { header: { name: "x-bad", present_match: true } } })),
  }),
  prefix("/rbac/ip", {
    ...direct("r"),
    ...perRouteRbac("ALLOW", policy({ any: true }, { direct_remote_ip: { address_prefix: "10.0.0.0", prefix_len: 8 } })),
  }),
  prefix("/rbac/cert", {
    ...direct("r"),
    ...perRouteRbac("ALLOW", policy({ any: true }, { authenticated: { principal_name: { exact: "x" } } })),
  }),
  prefix("/rbac/and", {
    ...direct("r"),
    ...perRouteRbac(
      "DENY",
      policy({
        and_rules: {
          rules: [
            { header: { name: "x-a", string_match: { exact: "1" } } },
            { or_rules: { rules: [{ url_path: { path: { suffix: "y" } } }, { header: { name: "x-z", present_match: true } }] } },
          ],
        },
      }),
    ),
  }),
  prefix("/fault/abort", { ...direct("f"), ...routeFilter("fault", fault({ abort: { http_status: 418, percentage: percent(100) } })) }),
  prefix("/fault/match", {
    ...direct("f"),
    ...routeFilter(
      "fault",
      fault({ abort: { http_status: 503, percentage: percent(100) }, headers: [{ name: "x-f", string_match: { exact: "1" } }] }),
    ),
  }),
  prefix("/fault/delay", {
    ...to("http"),
    ...routeFilter(
      "fault",
      fault({ delay: { fixed_delay: "0.1s", percentage: percent(100) }, abort: { grpc_status: 14, percentage: percent(100) } }),
    ),
  }),
  prefix("/limit/plain", {
    ...direct("l"),
    ...routeFilter("local_ratelimit", limit({ token_bucket: oneToken, filter_enabled: always, filter_enforced: always })),
  }),
  prefix("/limit/status", {
    ...direct("l"),
    ...routeFilter(
      "local_ratelimit",
      limit({
        token_bucket: oneToken,
        filter_enabled: always,
        filter_enforced: always,
        status: { code: 503 },
        response_headers_to_add: [header("x-limited", "yes")],
      }),
    ),
  }),
  prefix("/limit/shadow", {
    ...to("http"),
    ...routeFilter(
      "local_ratelimit",
      limit({
        token_bucket: oneToken,
        filter_enabled: always,
        filter_enforced: { default_value: percent(0) },
        request_headers_to_add_when_not_enforced: [header("x-over", "1")],
      }),
    ),
  }),
  prefix("/limit/grpc", {
    ...direct("l"),
    ...routeFilter(
      "local_ratelimit",
      limit({ token_bucket: oneToken, filter_enabled: always, filter_enforced: always, rate_limited_as_resource_exhausted: true }),
    ),
  }),
  prefix("/limit/drafted", {
    ...direct("l"),
    ...routeFilter(
      "local_ratelimit",
      limit({
        token_bucket: { max_tokens: 2, tokens_per_fill: 2, fill_interval: "600s" },
        filter_enabled: always,
        filter_enforced: always,
        enable_x_ratelimit_headers: "DRAFT_VERSION_03",
      }),
    ),
  }),
  prefix("/", to("http")),
];

/** The bootstrap, in which the path of the access log is a placeholder. */
export function liveBootstrap(origins: Origins): object {
  const parts = [outlierPart(origins), formatsPart(origins), webPart(origins), streamTimersPart(origins)];
  return {
    static_resources: {
      listeners: [
        ...parts.flatMap(({ listeners }) => listeners),
        listener("main", manager("main", mainHosts, { upgrade_configs: [{ upgrade_type: "websocket", enabled: false }] })),
        listener(
          "edge",
          manager("edge", everything(), {
            use_remote_address: true,
            xff_num_trusted_hops: 1,
            server_name: "edge",
            merge_slashes: true,
            path_with_escaped_slashes_action: "UNESCAPE_AND_FORWARD",
            strip_any_host_port: true,
            strip_trailing_host_dot: true,
            via: "edge",
            max_request_headers_kb: 4,
            request_timeout: "0.4s",
            request_headers_timeout: "0.3s",
            append_x_forwarded_port: true,
            always_set_request_id_in_response: true,
            common_http_protocol_options: {
              headers_with_underscores_action: "DROP_HEADER",
              max_headers_count: 12,
              max_requests_per_connection: 2,
              idle_timeout: "0.5s",
            },
            internal_address_config: { cidr_ranges: [{ address_prefix: "192.168.0.0", prefix_len: 16 }] },
          }),
        ),
        listener(
          "reject",
          manager("reject", everything(), {
            merge_slashes: true,
            path_with_escaped_slashes_action: "REJECT_REQUEST",
            strip_matching_host_port: true,
            server_header_transformation: "APPEND_IF_ABSENT",
            generate_request_id: false,
            skip_xff_append: true,
            scheme_header_transformation: { scheme_to_overwrite: "https" },
            common_http_protocol_options: { headers_with_underscores_action: "REJECT_REQUEST", max_stream_duration: "1s" },
            http_protocol_options: { allow_chunked_length: true, override_stream_error_on_invalid_http_message: true },
          }),
        ),
        listener(
          "http10",
          manager("http10", everything(), {
            normalize_path: false,
            server_header_transformation: "PASS_THROUGH",
            http_protocol_options: {
              accept_http_10: true,
              default_host_for_http_10: "ten",
              enable_trailers: true,
              header_key_format: { proper_case_words: {} },
            },
          }),
        ),
        listener(
          "http2",
          manager("http2", mainHosts, {
            codec_type: "HTTP2",
            http2_protocol_options: { max_concurrent_streams: 3, initial_stream_window_size: 65535, allow_connect: true },
            upgrade_configs: [{ upgrade_type: "websocket", enabled: false }],
          }),
        ),
        listener(
          "filters",
          manager("filters", [{ name: "all", domains: ["*"], routes: filterRoutes }], {
            http_filters: [
              filter("cors", { "@type": `${v3}.extensions.filters.http.cors.v3.Cors` }),
              filter("fault", fault({})),
              filter("rbac", {
                "@type": `${v3}.extensions.filters.http.rbac.v3.RBAC`,
                rules: { action: "ALLOW", policies: policy({ any: true }) },
              }),
              filter("local_ratelimit", limit({})),
              router,
            ],
          }),
        ),
        listener(
          "tunnel",
          manager(
            "tunnel",
            [
              {
                name: "ended here",
                domains: ["tcp:80"],
                routes: [
                  {
                    name: "terminated",
                    match: { connect_matcher: {} },
                    route: { cluster: "echo", upgrade_configs: [{ upgrade_type: "CONNECT", connect_config: {} }] },
                  },
                ],
              },
              {
                name: "all",
                domains: ["*"],
                routes: [
                  {
                    name: "connect",
                    match: { connect_matcher: {} },
                    route: { cluster: "http", upgrade_configs: [{ upgrade_type: "CONNECT" }] },
                  },
                  prefix("/", to("http")),
                ],
              },
            ],
            {
              upgrade_configs: [{ upgrade_type: "CONNECT" }, { upgrade_type: "websocket" }],
              http2_protocol_options: { allow_connect: true },
            },
          ),
        ),
        listener("echo", tcp("echo", "echo", { idle_timeout: "0.4s" })),
        listener("refused", tcp("refused", "refused", { max_connect_attempts: 2 })),
        listener("empty", tcp("empty", "empty")),
        listener(
          "denied",
          tcp("denied", "echo", {}, [
            {
              name: "envoy.filters.network.rbac",
              typed_config: {
                "@type": `${v3}.extensions.filters.network.rbac.v3.RBAC`,
                stat_prefix: "r",
                rules: { action: "DENY", policies: policy({ any: true }) },
              },
            },
          ]),
        ),
      ],
      clusters: [
        ...parts.flatMap(({ clusters }) => clusters),
        cluster("http", origins.http),
        cluster("http2", origins.http2, http2Upstream),
        cluster("silent", origins.silent),
        cluster("echo", origins.echo),
        cluster("refused", origins.refused),
        cluster("empty", undefined),
        cluster("narrow", origins.silent, {
          circuit_breakers: { thresholds: [{ max_connections: 1, max_pending_requests: 1, max_requests: 0 }] },
        }),
      ],
    },
  };
}
