// Listeners of what browsers need: compression, gRPC-Web, CORS; and faults.
import {
  cluster,
  cors,
  everything,
  fault,
  filter,
  http2Upstream,
  listener,
  manager,
  percent,
  prefix,
  routeFilter,
  router,
  to,
  v3,
} from "../builders.ts";
import type { Origins } from "../origins.ts";
import type { BootstrapPart } from "./part.ts";

const library = (name: string, of: "compressor" | "decompressor", config: object = {}): object => ({
  name,
  typed_config: { "@type": `${v3}.extensions.compression.${name}.${of}.v3.${name[0]!.toUpperCase()}${name.slice(1)}`, ...config },
});
const compressor = (name: string, config: object = {}): object => ({
  name: `envoy.filters.http.compressor.${name}`,
  typed_config: {
    "@type": `${v3}.extensions.filters.http.compressor.v3.Compressor`,
    compressor_library: library(name, "compressor"),
    ...config,
  },
});
const responses = (common: object, more: object = {}): object => ({ response_direction_config: { common_config: common, ...more } });
const perRoute = (config: object): object => ({
  typed_per_filter_config: {
    "envoy.filters.http.compressor.gzip": { "@type": `${v3}.extensions.filters.http.compressor.v3.CompressorPerRoute`, ...config },
  },
});
const decompressor = (config: object): object =>
  filter("decompressor", {
    "@type": `${v3}.extensions.filters.http.decompressor.v3.Decompressor`,
    decompressor_library: library("gzip", "decompressor"),
    ...config,
  });

const compressed: readonly object[] = [
  { ...prefix("/off/", to("http", { prefix_rewrite: "/" })), ...perRoute({ disabled: true }) },
  {
    ...prefix("/keep/", to("http", { prefix_rewrite: "/" })),
    ...perRoute({ overrides: { response_direction_config: { remove_accept_encoding_header: false } } }),
  },
  prefix("/", to("http")),
];
const plainHost = [{ name: "all", domains: ["*"], routes: compressed }];

const exact = (value: string): object => ({ allow_origin_string_match: [{ exact: value }] });
const origins = {
  allow_origin_string_match: [
    { exact: "https://a" },
    { prefix: "https://pre" },
    { suffix: ".ok.test" },
    { safe_regex: { regex: "https://r[0-9]" } },
  ],
};
const share = (numerator: number): object => ({ default_value: percent(numerator) });
const corsRoute = (path: string, config: object): object => ({
  ...prefix(path, to("http", { prefix_rewrite: "/" })),
  ...routeFilter("cors", cors(config)),
});
const corsHosts: readonly object[] = [
  {
    name: "host",
    domains: ["host"],
    routes: [corsRoute("/route/", exact("https://route")), prefix("/", to("http"))],
    ...routeFilter("cors", cors({ ...exact("https://host"), allow_methods: "GET", expose_headers: "x-host" })),
  },
  {
    name: "all",
    domains: ["*"],
    routes: [
      corsRoute("/full/", {
        ...origins,
        allow_methods: "GET, PUT",
        allow_headers: "x-a, x-b",
        expose_headers: "x-c, x-d",
        max_age: "600",
        allow_credentials: true,
      }),
      corsRoute("/stars/", { allow_origin_string_match: [{ exact: "*" }], allow_methods: "*", allow_headers: "*", expose_headers: "*" }),
      corsRoute("/stars-credentials/", {
        allow_origin_string_match: [{ exact: "*" }],
        allow_methods: "*",
        allow_headers: "*",
        allow_credentials: true,
      }),
      corsRoute("/bare/", exact("https://a")),
      corsRoute("/private/", { ...exact("https://a"), allow_private_network_access: true }),
      corsRoute("/no-private/", { ...exact("https://a"), allow_private_network_access: false }),
      corsRoute("/off/", { ...exact("https://a"), filter_enabled: share(0) }),
      corsRoute("/shadow/", { ...exact("https://a"), filter_enabled: share(0), shadow_enabled: share(100) }),
      corsRoute("/both/", { ...exact("https://a"), filter_enabled: share(100), shadow_enabled: share(100) }),
      corsRoute("/stop/", { ...exact("https://a"), forward_not_matching_preflights: false }),
      corsRoute("/pass/", { ...exact("https://a"), forward_not_matching_preflights: true }),
      corsRoute("/nobody/", { allow_methods: "GET" }),
      corsRoute("/insensitive/", { allow_origin_string_match: [{ exact: "https://a", ignore_case: true }] }),
      prefix("/", to("http")),
    ],
  },
];

const faultRoute = (path: string, config: object): object => ({
  ...prefix(path, to("http", { prefix_rewrite: "/" })),
  ...routeFilter("fault", fault(config)),
});
const abort = (http_status: number, numerator: number): object => ({ abort: { http_status, percentage: percent(numerator) } });
const delay = (fixed_delay: string, numerator: number): object => ({ delay: { fixed_delay, percentage: percent(numerator) } });
const faultHost = [
  {
    name: "all",
    domains: ["*"],
    routes: [
      faultRoute("/never/", { ...abort(503, 0), ...delay("5s", 0) }),
      faultRoute("/always/", abort(503, 100)),
      faultRoute("/million/", { abort: { http_status: 503, percentage: { numerator: 1_000_000, denominator: "MILLION" } } }),
      faultRoute("/over/", abort(429, 200)),
      faultRoute("/delay/", delay("0.05s", 100)),
      faultRoute("/delay-abort/", { ...delay("0.05s", 100), ...abort(418, 100) }),
      faultRoute("/delay-only/", { ...delay("0.05s", 100), ...abort(418, 0) }),
      faultRoute("/grpc/", { abort: { grpc_status: 7, percentage: percent(100) } }),
      faultRoute("/grpc-ok/", { abort: { grpc_status: 0, percentage: percent(100) } }),
      faultRoute("/grpc-high/", { abort: { grpc_status: 99, percentage: percent(100) } }),
      faultRoute("/cluster/", { ...abort(503, 100), upstream_cluster: "http" }),
      faultRoute("/other-cluster/", { ...abort(503, 100), upstream_cluster: "other" }),
      faultRoute("/none-active/", { ...abort(503, 100), max_active_faults: 0 }),
      faultRoute("/nodes/", { ...abort(503, 100), downstream_nodes: ["n"] }),
      prefix("/", to("http")),
    ],
  },
];

const upstreamFormat = (header_key_format: object): object => ({
  typed_extension_protocol_options: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": `${v3}.extensions.upstreams.http.v3.HttpProtocolOptions`,
      explicit_http_config: { http_protocol_options: { header_key_format } },
    },
  },
});
const preserved = {
  stateful_formatter: {
    name: "preserve_case",
    typed_config: { "@type": `${v3}.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig` },
  },
};

const namedHosts: readonly object[] = [
  {
    name: "all",
    domains: ["*"],
    routes: [
      prefix("/proper/", to("proper", { prefix_rewrite: "/" })),
      prefix("/kept/", to("kept", { prefix_rewrite: "/" })),
      prefix("/h2/", to("web-http2")),
      prefix("/", to("http")),
    ],
  },
];

/** Listeners named by what they show. */
export function webPart({ http, http2 }: Origins): BootstrapPart {
  const gzip = compressor("gzip");
  const told = responses({}, { status_header_enabled: true, weaken_etag_on_compress: true });
  const strict = responses(
    { min_content_length: 50, content_type: ["text/html", "application/x"] },
    { disable_on_etag_header: true, remove_accept_encoding_header: true, uncompressible_response_codes: [206, 404] },
  );
  const requests = { request_direction_config: { common_config: { enabled: { default_value: true, runtime_key: "x" } } } };
  const managers: Readonly<Record<string, object>> = {
    gzip: manager("gzip", plainHost, { http_filters: [gzip, router] }),
    "gzip-told": manager("gzip-told", plainHost, { http_filters: [compressor("gzip", told), router] }),
    "gzip-strict": manager("gzip-strict", plainHost, { http_filters: [compressor("gzip", strict), router] }),
    "gzip-requests": manager("gzip-requests", plainHost, { http_filters: [compressor("gzip", requests), router] }),
    "gzip-brotli": manager("gzip-brotli", plainHost, { http_filters: [gzip, compressor("brotli"), router] }),
    "brotli-first": manager("brotli-first", plainHost, { http_filters: [gzip, compressor("brotli", { choose_first: true }), router] }),
    gunzip: manager("gunzip", everything(), { http_filters: [decompressor({}), router] }),
    "gunzip-told": manager("gunzip-told", everything(), {
      http_filters: [
        decompressor({
          request_direction_config: { advertise_accept_encoding: false, common_config: { ignore_no_transform_header: true } },
          response_direction_config: { common_config: { enabled: { default_value: false, runtime_key: "y" } } },
        }),
        router,
      ],
    }),
    "grpc-web": manager(
      "grpc-web",
      [{ name: "all", domains: ["*"], routes: [prefix("/h1/", to("http", { prefix_rewrite: "/" })), prefix("/", to("web-http2"))] }],
      {
        http_filters: [filter("grpc_web", { "@type": `${v3}.extensions.filters.http.grpc_web.v3.GrpcWeb` }), router],
      },
    ),
    cors: manager("cors", corsHosts, { http_filters: [filter("cors", { "@type": `${v3}.extensions.filters.http.cors.v3.Cors` }), router] }),
    faults: manager("faults", faultHost, { http_filters: [filter("fault", fault({})), router] }),
    "web-names": manager("web-names", namedHosts),
    "upstream-names": manager("upstream-names", namedHosts, { http_protocol_options: { header_key_format: preserved } }),
  };
  return {
    listeners: Object.entries(managers).map(([name, chain]) => listener(name, chain)),
    clusters: [
      cluster("proper", http, upstreamFormat({ proper_case_words: {} })),
      cluster("kept", http, upstreamFormat(preserved)),
      cluster("web-http2", http2, http2Upstream),
    ],
  };
}
