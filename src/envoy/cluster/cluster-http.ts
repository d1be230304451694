// Decoder of how a cluster speaks HTTP: HttpProtocolOptions and the older fields on the cluster itself.
import type { NameByRequest, UpstreamHttpOptions, UpstreamProtocol } from "./cluster.ts";
import { anyOf, unsupportedType } from "../decode/any.ts";
import { type Cursor, type Decoder, isObject } from "../decode/cursor.ts";
import { type Fields, message } from "../decode/message.ts";
import { bool, duration, enumeration, integer, text, uint32 } from "../decode/scalars.ts";
import { decodeHeaderKeyFormat } from "../http-protocol-options.ts";
import { decodeHttp2Options, defaultHttp2Options, type Http2Options } from "../http2-options.ts";
import { decodeHttpFilter } from "../listener/filter-config.ts";

type Http1Options = Pick<UpstreamHttpOptions, "enableTrailers" | "properCaseHeaders">;
type Protocol = Pick<UpstreamHttpOptions, "protocol" | "http2"> & Http1Options;
type CommonOptions = Omit<UpstreamHttpOptions, keyof Protocol | "nameByRequest">;

/** Envoy's defaults: 1 h idle, no limits, 100 headers. */
const defaultHttpOptions: UpstreamHttpOptions = {
  protocol: "http1",
  idleTimeoutMs: 3_600_000,
  maxRequestsPerConnection: 0,
  maxConnectionDurationMs: 0,
  maxStreamDurationMs: 0,
  maxHeadersCount: 100,
  // Observed: Envoy accepts response headers of 70 KiB without a limit being configured.
  maxResponseHeadersKb: 80,
  enableTrailers: false,
  properCaseHeaders: false,
  http2: defaultHttp2Options,
};

const decodeCommonOptions: Decoder<CommonOptions> = message("envoy.config.core.v3.HttpProtocolOptions", (m) => {
  // It concerns requests of clients alone.
  m.accept("headers_with_underscores_action");
  return {
    idleTimeoutMs: m.field("idle_timeout", duration, defaultHttpOptions.idleTimeoutMs),
    maxRequestsPerConnection: m.field("max_requests_per_connection", uint32, 0),
    maxConnectionDurationMs: m.field("max_connection_duration", duration, 0),
    maxStreamDurationMs: m.field("max_stream_duration", duration, 0),
    maxHeadersCount: m.field("max_headers_count", integer(1, 0xffff_ffff), defaultHttpOptions.maxHeadersCount),
    maxResponseHeadersKb: m.field("max_response_headers_kb", integer(1, 8192), defaultHttpOptions.maxResponseHeadersKb),
  };
});

// These weaken or strengthen the check of the server's identity, so they must not be lost.
const decodeUpstreamOptions: Decoder<NameByRequest | undefined> = message(
  "envoy.config.core.v3.UpstreamHttpProtocolOptions",
  (m) => {
    const options = {
      sni: m.field("auto_sni", bool, false),
      verify: m.field("auto_san_validation", bool, false),
      header: m.field("override_auto_sni_header", text, "").toLowerCase(),
    };
    return options.sni || options.verify ? options : undefined;
  },
  { unhandled: "error" },
);

// Codec settings: which of them are present decides the protocol.
const decodeHttp1Settings = message("envoy.config.core.v3.Http1ProtocolOptions", (m): Http1Options => ({
  enableTrailers: m.field("enable_trailers", bool, false),
  properCaseHeaders: m.field("header_key_format", decodeHeaderKeyFormat, false),
}));

const plainSettings: Http1Options = { enableTrailers: false, properCaseHeaders: false };
const plainHttp1: Protocol = { protocol: "http1", ...plainSettings, http2: defaultHttp2Options };

function codecSettings(m: Fields, protocol: UpstreamProtocol): Protocol {
  const settings = m.field("http_protocol_options", decodeHttp1Settings, plainSettings);
  const http2 = m.field("http2_protocol_options", decodeHttp2Options, defaultHttp2Options);
  return { protocol, ...settings, http2 };
}

const decodeExplicit: Decoder<Protocol> = message("envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig", (m) => {
  m.refuse("HTTP/3", "http3_protocol_options");
  return m.requiredOneof<Protocol>(
    {
      http_protocol_options: (json, at) => ({ ...plainHttp1, ...decodeHttp1Settings(json, at) }),
      http2_protocol_options: (json, at) => ({ protocol: "http2", ...plainSettings, http2: decodeHttp2Options(json, at) }),
    },
    plainHttp1,
  );
});
const decodeDownstream: Decoder<Protocol> = message(
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig",
  (m) => {
    m.ignore("http3_protocol_options");
    return codecSettings(m, "downstream");
  },
);
const decodeAuto: Decoder<Protocol> = message("envoy.extensions.upstreams.http.v3.HttpProtocolOptions.AutoHttpConfig", (m) => {
  m.refuse("HTTP/3", "http3_protocol_options", "alternate_protocols_cache_options");
  return codecSettings(m, "auto");
});

const decodeProtocolOptions: Decoder<UpstreamHttpOptions> = message("envoy.extensions.upstreams.http.v3.HttpProtocolOptions", (m) => {
  const nameByRequest = m.field("upstream_http_protocol_options", decodeUpstreamOptions, undefined);
  m.field("http_filters", upstreamFilters, undefined);
  return {
    ...(nameByRequest && { nameByRequest }),
    ...m.field("common_http_protocol_options", decodeCommonOptions, defaultHttpOptions),
    ...m.requiredOneof<Protocol>(
      { explicit_http_config: decodeExplicit, use_downstream_protocol_config: decodeDownstream, auto_config: decodeAuto },
      plainHttp1,
    ),
  };
});

const codecFilter = "envoy.filters.http.upstream_codec";

// The codec is always there and last; any other filter on this side has no behaviour here.
const upstreamFilters: Decoder<void> = (json, at) => {
  if (!Array.isArray(json)) return at.error("expected a list");
  json.forEach((entry: unknown, index) => {
    const filter = at.in(index, decodeHttpFilter, entry);
    if (filter && filter.extension !== codecFilter) at.error(`${filter.extension} is not supported as an upstream filter`, index);
  });
};

const extensionName = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const decodeProtocolAny = anyOf<UpstreamHttpOptions>(
  { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": decodeProtocolOptions },
  (type, at) => {
    at.error(unsupportedType(type, [extensionName]));
    return defaultHttpOptions;
  },
);

const decodeExtensionOptions: Decoder<UpstreamHttpOptions | undefined> = (json: unknown, at: Cursor) => {
  let options: UpstreamHttpOptions | undefined;
  if (!isObject(json)) at.error("expected an object of extension names to options");
  else {
    for (const [name, value] of Object.entries(json)) {
      if (name === extensionName) options = at.in(name, decodeProtocolAny, value);
      else at.warn("is not honoured", name);
    }
  }
  return options;
};

const selection = enumeration({ USE_CONFIGURED_PROTOCOL: 0, USE_DOWNSTREAM_PROTOCOL: 1 });

/** The HTTP options of a cluster.v3.Cluster, from typed_extension_protocol_options or the deprecated fields. */
export function decodeClusterHttp(m: Fields): UpstreamHttpOptions {
  const typed = m.field("typed_extension_protocol_options", decodeExtensionOptions, undefined);
  const nameByRequest = m.field("upstream_http_protocol_options", decodeUpstreamOptions, undefined);
  const common = m.field("common_http_protocol_options", decodeCommonOptions, defaultHttpOptions);
  const settings = m.field("http_protocol_options", decodeHttp1Settings, plainSettings);
  const http2 = m.field<Http2Options, undefined>("http2_protocol_options", decodeHttp2Options, undefined);
  const downstream = m.field("protocol_selection", selection, "USE_CONFIGURED_PROTOCOL") === "USE_DOWNSTREAM_PROTOCOL";
  const maxRequestsPerConnection = m.field("max_requests_per_connection", uint32, common.maxRequestsPerConnection);
  if (typed) return typed;
  const named = nameByRequest && { nameByRequest };
  const protocol = downstream ? "downstream" : http2 ? "http2" : "http1";
  return { ...common, ...named, maxRequestsPerConnection, ...settings, protocol, http2: http2 ?? defaultHttp2Options };
}
