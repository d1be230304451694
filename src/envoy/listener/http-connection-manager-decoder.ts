// Decoder of HttpConnectionManager.
import { decodeCidrRange } from "../address.ts";
import { decodeAccessLogs } from "../access-log.ts";
import { openAny } from "../decode/any.ts";
import type { Decoder } from "../decode/cursor.ts";
import { type Fields, message } from "../decode/message.ts";
import { bool, duration, enumeration, integer, list, listOf, nonEmpty, text, uint32 } from "../decode/scalars.ts";
import { decodeHeaderKeyFormat, decodeUnderscoresAction } from "../http-protocol-options.ts";
import { decodeHttp2Options, defaultHttp2Options } from "../http2-options.ts";
import { decodeHttpFilter } from "./filter-config.ts";
import type { HttpConnectionManagerConfig } from "./http-connection-manager.ts";
import { decodeLocalReplyConfig } from "./local-reply-config.ts";
import { decodeInlineRouteConfiguration } from "../route/route-decoder.ts";
import { type RouterConfig, routerExtension } from "../http-filter/router.ts";

type Config = HttpConnectionManagerConfig;

const codecType = enumeration({ AUTO: 0, HTTP1: 1, HTTP2: 2, HTTP3: 3 });
const serverHeader = enumeration({ OVERWRITE: 0, APPEND_IF_ABSENT: 1, PASS_THROUGH: 2 });
const clientCert = enumeration({ SANITIZE: 0, FORWARD_ONLY: 1, APPEND_FORWARD: 2, SANITIZE_SET: 3, ALWAYS_FORWARD_ONLY: 4 });
const escapedSlashes = enumeration({
  IMPLEMENTATION_SPECIFIC_DEFAULT: 0,
  KEEP_UNCHANGED: 1,
  REJECT_REQUEST: 2,
  UNESCAPE_AND_REDIRECT: 3,
  UNESCAPE_AND_FORWARD: 4,
});

const decodeRds = message("envoy.extensions.filters.network.http_connection_manager.v3.Rds", (m): Config["routes"] => {
  m.accept("config_source");
  return { kind: "rds", name: m.required("route_config_name", nonEmpty) };
});

const decodeCertDetails = message(
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.SetCurrentClientCertDetails",
  (m) => ({
    subject: m.field("subject", bool, false),
    cert: m.field("cert", bool, false),
    chain: m.field("chain", bool, false),
    dns: m.field("dns", bool, false),
    uri: m.field("uri", bool, false),
  }),
);

const decodeInternalAddresses = message(
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.InternalAddressConfig",
  // No client's address is that of a Unix socket here, so `unix_sockets` has nothing to say.
  (m) => (m.accept("unix_sockets"), m.field("cidr_ranges", list(decodeCidrRange), [])),
);

type CommonOptions = Pick<
  Config,
  "idleTimeoutMs" | "maxConnectionDurationMs" | "maxHeadersCount" | "headersWithUnderscores" | "maxRequestsPerConnection"
> &
  Partial<Pick<Config, "maxStreamDurationMs">>;

const defaultCommonOptions: CommonOptions = {
  idleTimeoutMs: 3_600_000,
  maxConnectionDurationMs: 0,
  maxHeadersCount: 100,
  headersWithUnderscores: "ALLOW",
  maxRequestsPerConnection: 0,
};

const decodeCommonOptions = message("envoy.config.core.v3.HttpProtocolOptions", (m): CommonOptions => ({
  idleTimeoutMs: m.field("idle_timeout", duration, 3_600_000),
  maxConnectionDurationMs: m.field("max_connection_duration", duration, 0),
  maxHeadersCount: m.field("max_headers_count", integer(1, 0xffff_ffff), 100),
  headersWithUnderscores: m.field("headers_with_underscores_action", decodeUnderscoresAction, "ALLOW"),
  maxRequestsPerConnection: m.field("max_requests_per_connection", uint32, 0),
  maxStreamDurationMs: m.field("max_stream_duration", duration, 0),
}));

type Http1Options = Pick<
  Config,
  "acceptHttp10" | "defaultHostForHttp10" | "allowAbsoluteUrl" | "enableTrailers" | "properCaseHeaders" | "allowChunkedLength"
>;

const defaultHttp1Options: Http1Options = {
  acceptHttp10: false,
  defaultHostForHttp10: "",
  allowAbsoluteUrl: true,
  enableTrailers: false,
  properCaseHeaders: false,
  allowChunkedLength: false,
};

const decodeHttp1Options = message("envoy.config.core.v3.Http1ProtocolOptions", (m): Http1Options => {
  m.accept("use_balsa_parser");
  return {
    acceptHttp10: m.field("accept_http_10", bool, false),
    defaultHostForHttp10: m.field("default_host_for_http_10", text, ""),
    allowAbsoluteUrl: m.field("allow_absolute_url", bool, true),
    enableTrailers: m.field("enable_trailers", bool, false),
    properCaseHeaders: m.field("header_key_format", decodeHeaderKeyFormat, false),
    allowChunkedLength: m.field("allow_chunked_length", bool, false),
  };
});

const decodeScheme = message("envoy.config.core.v3.SchemeHeaderTransformation", (m) => {
  const scheme = m.field("scheme_to_overwrite", text, "");
  if (scheme !== "" && scheme !== "http" && scheme !== "https") m.at.error(`expected http or https, got ${scheme}`, "scheme_to_overwrite");
  return scheme;
});

const decodeUpgrade = message("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig", (m) => {
  m.refuse("filter chains of their own for upgrades", "filters");
  return { type: m.required("upgrade_type", nonEmpty).toLowerCase(), enabled: m.field("enabled", bool, true) };
});

const decodeUuidRequestId = message("envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig", (m) =>
  m.accept("pack_trace_reason", "use_request_id_for_trace_sampling"),
);

const decodeRequestId = message("envoy.extensions.filters.network.http_connection_manager.v3.RequestIDExtension", (m) => {
  m.required("typed_config", (json, at) => {
    const opened = openAny(json, at);
    if (opened?.type === "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig") decodeUuidRequestId(opened.json, at);
    else if (opened) at.warn(`${opened.type} is not honoured: request ids are UUIDs`);
  });
});

function stripPort(m: Fields): Config["stripPort"] {
  const matching = m.field("strip_matching_host_port", bool, false);
  const any = m.field("strip_any_host_port", bool, false);
  if (matching && any) m.at.error("give either this or strip_matching_host_port, not both", "strip_any_host_port");
  return any ? "any" : matching ? "matching" : "none";
}

function codec(m: Fields): Config["codecType"] {
  const type = m.field("codec_type", codecType, "AUTO");
  if (type !== "HTTP3") return type;
  m.at.error("not supported: HTTP/3", "codec_type");
  return "AUTO";
}

/** HttpConnectionManager. */
export const decodeHttpConnectionManager: Decoder<HttpConnectionManagerConfig> = message(
  "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
  (m) => {
    m.refuse("scoped routes", "scoped_routes");
    // What a client's address is decides over policies, so another way to find it must not be lost.
    m.refuse("finding the client's address by extension", "original_ip_detection_extensions");
    m.refuse("early header mutations", "early_header_mutation_extensions");
    m.refuse("header validation extensions", "typed_header_validation_config");
    m.field("request_id_extension", decodeRequestId, undefined);
    const slashes = m.field("path_with_escaped_slashes_action", escapedSlashes, "KEEP_UNCHANGED");
    const common = m.field("common_http_protocol_options", decodeCommonOptions, defaultCommonOptions);
    const httpFilters = m.field("http_filters", listOf(decodeHttpFilter), []);
    const router = httpFilters.find((filter) => filter.extension === routerExtension)?.config as RouterConfig | undefined;
    return {
      statPrefix: m.required("stat_prefix", nonEmpty),
      codecType: codec(m),
      routes: m.requiredOneof<Config["routes"]>(
        { route_config: (json, at) => ({ kind: "inline", config: decodeInlineRouteConfiguration(json, at) }), rds: decodeRds },
        { kind: "rds", name: "" },
      ),
      httpFilters,
      accessLog: m.field("access_log", decodeAccessLogs, []),
      addUserAgent: m.field("add_user_agent", bool, false),
      useRemoteAddress: m.field("use_remote_address", bool, false),
      xffNumTrustedHops: m.field("xff_num_trusted_hops", uint32, 0),
      internalRanges: m.field("internal_address_config", decodeInternalAddresses, []),
      skipXffAppend: m.field("skip_xff_append", bool, false),
      via: m.field("via", text, ""),
      generateRequestId: m.field("generate_request_id", bool, true),
      preserveExternalRequestId: m.field("preserve_external_request_id", bool, false),
      alwaysSetRequestIdInResponse: m.field("always_set_request_id_in_response", bool, false),
      forwardClientCertDetails: m.field("forward_client_cert_details", clientCert, "SANITIZE"),
      setCurrentClientCertDetails: m.field("set_current_client_cert_details", decodeCertDetails, {
        subject: false,
        cert: false,
        chain: false,
        dns: false,
        uri: false,
      }),
      proxy100Continue: m.field("proxy_100_continue", bool, false),
      serverName: m.field("server_name", text, "") || "envoy",
      serverHeaderTransformation: m.field("server_header_transformation", serverHeader, "OVERWRITE"),
      schemeHeaderOverwrite: m.field("scheme_header_transformation", decodeScheme, ""),
      normalizePath: m.field("normalize_path", bool, false),
      mergeSlashes: m.field("merge_slashes", bool, false),
      escapedSlashesAction: slashes === "IMPLEMENTATION_SPECIFIC_DEFAULT" ? "KEEP_UNCHANGED" : slashes,
      stripPort: stripPort(m),
      stripTrailingHostDot: m.field("strip_trailing_host_dot", bool, false),
      appendXForwardedPort: m.field("append_x_forwarded_port", bool, false),
      maxRequestHeadersKb: m.field("max_request_headers_kb", integer(1, 8192), 60),
      maxHeadersCount: common.maxHeadersCount,
      maxRequestsPerConnection: common.maxRequestsPerConnection,
      idleTimeoutMs: common.idleTimeoutMs,
      maxConnectionDurationMs: common.maxConnectionDurationMs,
      streamIdleTimeoutMs: m.field("stream_idle_timeout", duration, 300_000),
      maxStreamDurationMs: common.maxStreamDurationMs ?? 0,
      requestTimeoutMs: m.field("request_timeout", duration, 0),
      requestHeadersTimeoutMs: m.field("request_headers_timeout", duration, 0),
      drainTimeoutMs: m.field("drain_timeout", duration, 5000),
      delayedCloseTimeoutMs: m.field("delayed_close_timeout", duration, 1000),
      headersWithUnderscores: common.headersWithUnderscores,
      ...m.field("http_protocol_options", decodeHttp1Options, defaultHttp1Options),
      http2: m.field("http2_protocol_options", decodeHttp2Options, defaultHttp2Options),
      upgrades: Object.fromEntries(m.field("upgrade_configs", list(decodeUpgrade), []).map((upgrade) => [upgrade.type, upgrade.enabled])),
      suppressEnvoyHeaders: router?.suppressEnvoyHeaders ?? false,
      ...m.maybe("localReplies", "local_reply_config", decodeLocalReplyConfig),
    };
  },
);
