// The table of extensions: every `@type` URL a filter may be configured with, what it is called, how its configuration is
// decoded and what happens to it. A filter is made known here and nowhere else; whether a behaviour for it is registered is
// asked when a snapshot is built. Access loggers, transport sockets and balancing policies are dispatched where they are decoded.
import { decodeBuffer, decodeBufferPerRoute } from "./http-filter/buffer.ts";
import { decodeCors, decodeCorsPolicy } from "./http-filter/cors.ts";
import { decodeCsrf } from "./http-filter/csrf.ts";
import { createExtensionTable, type Extension, type ExtensionKind } from "./decode/extension.ts";
import { decodeExtAuthz, decodeExtAuthzPerRoute, decodeNetworkExtAuthz } from "./http-filter/ext-authz.ts";
import { decodeFault, isInertFault } from "./http-filter/fault.ts";
import { decodeGrpcStats } from "./http-filter/grpc-stats.ts";
import { decodeHeaderMutation, decodeHeaderMutationPerRoute } from "./http-filter/header-mutation.ts";
import { decodeHealthCheckFilter } from "./http-filter/health-check.ts";
import { decodeCompressor, decodeCompressorPerRoute } from "./http-filter/compressor.ts";
import { decodeDecompressor } from "./http-filter/decompressor.ts";
import { decodeGrpcWeb } from "./http-filter/grpc-web.ts";
import { decodeHttpConnectionManager } from "./listener/http-connection-manager-decoder.ts";
import { decodeIstioAlpn } from "./http-filter/istio-alpn.ts";
import { decodeIstioStats, istioStatsExtension } from "./http-filter/istio-stats.ts";
import { decodeJwtAuthn, decodeJwtPerRoute } from "./http-filter/jwt-authn.ts";
import {
  decodeHttpInspector,
  decodeOriginalDstFilter,
  decodeOriginalSrc,
  decodeProxyProtocol,
  decodeSniCluster,
  decodeTlsInspector,
  decodeUpstreamCodec,
} from "./listener/listener-filters.ts";
import { decodeLocalRateLimit, decodeLocalRateLimitPerRoute, isInertLocalRateLimit } from "./http-filter/local-ratelimit.ts";
import { decodeRateLimit, decodeRateLimitPerRoute } from "./http-filter/ratelimit.ts";
import { decodeHttpRbac, decodeHttpRbacPerRoute, decodeNetworkRbac } from "./http-filter/rbac-decoder.ts";
import { decodeRouter } from "./http-filter/router.ts";
import { decodeSetMetadata } from "./http-filter/set-metadata.ts";
import { decodeScript, decodeScriptPerRoute, scriptExtension, scriptPerRouteType, scriptType } from "./http-filter/script.ts";
import { decodeStatefulSession, decodeStatefulSessionPerRoute } from "./http-filter/stateful-session.ts";
import { decodeTcpProxy } from "./listener/tcp-proxy.ts";

const anything = (): object => ({});

type Row = Omit<Extension, "kind" | "name" | "type" | "policy">;

function row(kind: ExtensionKind, name: string, type: string, policy: Extension["policy"], more: Row): Extension {
  return { kind, name, type, policy, ...more };
}

const honoured = (kind: ExtensionKind, name: string, type: string, more: Row): Extension => row(kind, name, type, "honoured", more);

// Ignored extensions observe traffic or serve others that do; without them requests go the same way.
const ignored = (kind: ExtensionKind, name: string, type: string, why: string, perRoute: readonly string[] = []): Extension =>
  row(kind, name, type, "ignored", { why, perRoute: Object.fromEntries(perRoute.map((message) => [message, anything])) });

const refused = (kind: ExtensionKind, name: string, type: string, why: string, perRoute: readonly string[] = []): Extension =>
  row(kind, name, type, "refused", { why, perRoute: Object.fromEntries(perRoute.map((message) => [message, anything])) });

const statsOnly = "it only feeds metrics";
const decides = "leaving it out would change which requests pass";
const rewrites = "leaving it out would change what requests or responses carry";

const rows: readonly Extension[] = [
  honoured("listener filter", "envoy.filters.listener.tls_inspector", "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector", {
    decode: decodeTlsInspector,
  }),
  honoured("listener filter", "envoy.filters.listener.original_dst", "envoy.extensions.filters.listener.original_dst.v3.OriginalDst", {
    decode: decodeOriginalDstFilter,
  }),
  honoured(
    "listener filter",
    "envoy.filters.listener.http_inspector",
    "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
    {
      decode: decodeHttpInspector,
    },
  ),
  honoured(
    "listener filter",
    "envoy.filters.listener.proxy_protocol",
    "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
    {
      decode: decodeProxyProtocol,
    },
  ),
  honoured("listener filter", "envoy.filters.listener.original_src", "envoy.extensions.filters.listener.original_src.v3.OriginalSrc", {
    decode: decodeOriginalSrc,
  }),
  refused(
    "listener filter",
    "envoy.filters.listener.local_ratelimit",
    "envoy.extensions.filters.listener.local_ratelimit.v3.LocalRateLimit",
    decides,
  ),

  honoured(
    "network filter",
    "envoy.filters.network.http_connection_manager",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    { decode: decodeHttpConnectionManager },
  ),
  honoured("network filter", "envoy.filters.network.tcp_proxy", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", {
    decode: decodeTcpProxy,
  }),
  honoured("network filter", "envoy.filters.network.sni_cluster", "envoy.extensions.filters.network.sni_cluster.v3.SniCluster", {
    decode: decodeSniCluster,
  }),
  honoured("network filter", "envoy.filters.network.rbac", "envoy.extensions.filters.network.rbac.v3.RBAC", { decode: decodeNetworkRbac }),
  ignored("network filter", "envoy.filters.network.metadata_exchange", "envoy.tcp.metadataexchange.config.MetadataExchange", statsOnly),
  honoured("network filter", istioStatsExtension, "stats.PluginConfig", { decode: decodeIstioStats }),
  ignored("network filter", "envoy.filters.network.mongo_proxy", "envoy.extensions.filters.network.mongo_proxy.v3.MongoProxy", statsOnly),
  ignored(
    "network filter",
    "envoy.filters.network.zookeeper_proxy",
    "envoy.extensions.filters.network.zookeeper_proxy.v3.ZooKeeperProxy",
    statsOnly,
  ),
  ignored(
    "network filter",
    "envoy.filters.network.kafka_broker",
    "envoy.extensions.filters.network.kafka_broker.v3.KafkaBroker",
    statsOnly,
  ),
  ignored("network filter", "envoy.filters.network.mysql_proxy", "envoy.extensions.filters.network.mysql_proxy.v3.MySQLProxy", statsOnly),
  honoured("network filter", "envoy.filters.network.ext_authz", "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz", {
    decode: decodeNetworkExtAuthz,
  }),
  refused("network filter", "envoy.filters.network.ratelimit", "envoy.extensions.filters.network.ratelimit.v3.RateLimit", decides),
  refused(
    "network filter",
    "envoy.filters.network.local_ratelimit",
    "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit",
    decides,
  ),
  refused(
    "network filter",
    "envoy.filters.network.connection_limit",
    "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
    decides,
  ),

  honoured("http filter", "envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router", { decode: decodeRouter }),
  honoured("http filter", "envoy.filters.http.upstream_codec", "envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec", {
    decode: decodeUpstreamCodec,
  }),
  honoured("http filter", "istio.alpn", "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig", { decode: decodeIstioAlpn }),
  honoured("http filter", "envoy.filters.http.rbac", "envoy.extensions.filters.http.rbac.v3.RBAC", {
    decode: decodeHttpRbac,
    perRoute: { "envoy.extensions.filters.http.rbac.v3.RBACPerRoute": decodeHttpRbacPerRoute },
  }),
  honoured("http filter", "envoy.filters.http.jwt_authn", "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication", {
    decode: decodeJwtAuthn,
    perRoute: { "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig": decodeJwtPerRoute },
  }),
  honoured("http filter", "envoy.filters.http.stateful_session", "envoy.extensions.filters.http.stateful_session.v3.StatefulSession", {
    decode: decodeStatefulSession,
    perRoute: { "envoy.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute": decodeStatefulSessionPerRoute },
  }),
  honoured("http filter", "envoy.filters.http.fault", "envoy.extensions.filters.http.fault.v3.HTTPFault", {
    decode: decodeFault,
    perRoute: { "envoy.extensions.filters.http.fault.v3.HTTPFault": decodeFault },
    inert: isInertFault,
  }),
  honoured("http filter", "envoy.filters.http.cors", "envoy.extensions.filters.http.cors.v3.Cors", {
    decode: decodeCors,
    perRoute: { "envoy.extensions.filters.http.cors.v3.CorsPolicy": decodeCorsPolicy },
    inert: () => true,
  }),
  honoured("http filter", "envoy.filters.http.local_ratelimit", "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit", {
    decode: decodeLocalRateLimit,
    perRoute: { "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit": decodeLocalRateLimitPerRoute },
    inert: isInertLocalRateLimit,
  }),
  honoured("http filter", "envoy.filters.http.grpc_stats", "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig", {
    decode: decodeGrpcStats,
    // It only counts.
    inert: () => true,
  }),
  honoured("http filter", "envoy.filters.http.buffer", "envoy.extensions.filters.http.buffer.v3.Buffer", {
    decode: decodeBuffer,
    perRoute: { "envoy.extensions.filters.http.buffer.v3.BufferPerRoute": decodeBufferPerRoute },
  }),
  honoured("http filter", "envoy.filters.http.set_metadata", "envoy.extensions.filters.http.set_metadata.v3.Config", {
    decode: decodeSetMetadata,
    perRoute: { "envoy.extensions.filters.http.set_metadata.v3.Config": decodeSetMetadata },
  }),
  honoured("http filter", scriptExtension, scriptType, { decode: decodeScript, perRoute: { [scriptPerRouteType]: decodeScriptPerRoute } }),
  honoured("http filter", istioStatsExtension, "stats.PluginConfig", { decode: decodeIstioStats }),
  ignored("http filter", "istio.metadata_exchange", "io.istio.http.peer_metadata.Config", statsOnly),
  ignored("http filter", "envoy.filters.http.tap", "envoy.extensions.filters.http.tap.v3.Tap", "it only copies traffic"),
  honoured("http filter", "envoy.filters.http.ext_authz", "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz", {
    decode: decodeExtAuthz,
    perRoute: { "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute": decodeExtAuthzPerRoute },
  }),
  refused("http filter", "envoy.filters.http.ext_proc", "envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor", rewrites, [
    "envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute",
  ]),
  honoured("http filter", "envoy.filters.http.ratelimit", "envoy.extensions.filters.http.ratelimit.v3.RateLimit", {
    decode: decodeRateLimit,
    perRoute: { "envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute": decodeRateLimitPerRoute },
  }),
  refused("http filter", "envoy.filters.http.basic_auth", "envoy.extensions.filters.http.basic_auth.v3.BasicAuth", decides, [
    "envoy.extensions.filters.http.basic_auth.v3.BasicAuthPerRoute",
  ]),
  refused("http filter", "envoy.filters.http.oauth2", "envoy.extensions.filters.http.oauth2.v3.OAuth2", decides),
  honoured("http filter", "envoy.filters.http.csrf", "envoy.extensions.filters.http.csrf.v3.CsrfPolicy", {
    decode: decodeCsrf,
    perRoute: { "envoy.extensions.filters.http.csrf.v3.CsrfPolicy": decodeCsrf },
  }),
  refused("http filter", "envoy.filters.http.lua", "envoy.extensions.filters.http.lua.v3.Lua", rewrites, [
    "envoy.extensions.filters.http.lua.v3.LuaPerRoute",
  ]),
  refused("http filter", "envoy.filters.http.wasm", "envoy.extensions.filters.http.wasm.v3.Wasm", rewrites),
  refused("http filter", "envoy.filters.http.golang", "envoy.extensions.filters.http.golang.v3alpha.Config", rewrites),
  honoured("http filter", "envoy.filters.http.header_mutation", "envoy.extensions.filters.http.header_mutation.v3.HeaderMutation", {
    decode: decodeHeaderMutation,
    perRoute: { "envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute": decodeHeaderMutationPerRoute },
  }),
  honoured("http filter", "envoy.filters.http.health_check", "envoy.extensions.filters.http.health_check.v3.HealthCheck", {
    decode: decodeHealthCheckFilter,
  }),
  honoured("http filter", "envoy.filters.http.compressor", "envoy.extensions.filters.http.compressor.v3.Compressor", {
    decode: decodeCompressor,
    perRoute: { "envoy.extensions.filters.http.compressor.v3.CompressorPerRoute": decodeCompressorPerRoute },
  }),
  honoured("http filter", "envoy.filters.http.decompressor", "envoy.extensions.filters.http.decompressor.v3.Decompressor", {
    decode: decodeDecompressor,
  }),
  honoured("http filter", "envoy.filters.http.grpc_web", "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb", { decode: decodeGrpcWeb }),
  refused("http filter", "envoy.filters.http.set_filter_state", "envoy.extensions.filters.http.set_filter_state.v3.Config", rewrites),
];

/** The table. */
export const extensions = createExtensionTable(rows);
