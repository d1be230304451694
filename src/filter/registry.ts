// Every kind of filter this build can run, in one list per level. To add a filter: its folder, one line here, and its decoder
// in envoy/extensions.ts. The order is the order of documentation; configuration decides the order of execution.
import { routerExtension } from "../envoy/http-filter/router.ts";
import { istioStatsExtension } from "../envoy/http-filter/istio-stats.ts";
import type { HttpFilterSpec } from "../http/filter.ts";
import type { ListenerFilterSpec, NetworkFilterSpec } from "./filter.ts";
import { buffer } from "./http/buffer/buffer.ts";
import { cors } from "./http/cors/cors.ts";
import { csrf } from "./http/csrf/csrf.ts";
import { extAuthz } from "./http/ext-authz/ext-authz.ts";
import { fault } from "./http/fault/fault.ts";
import { grpcStats } from "./http/grpc-stats/grpc-stats.ts";
import { headerMutation } from "./http/header-mutation/header-mutation.ts";
import { healthCheck } from "./http/health-check/health-check.ts";
import { compressor } from "./http/compressor/compressor.ts";
import { decompressor } from "./http/decompressor/decompressor.ts";
import { grpcWeb } from "./http/grpc-web/grpc-web.ts";
import { istioAlpn } from "./http/istio-alpn/istio-alpn.ts";
import { jwtAuthn } from "./http/jwt-authn/jwt-authn.ts";
import { localRateLimit } from "./http/local-ratelimit/local-ratelimit.ts";
import { rateLimit } from "./http/ratelimit/ratelimit.ts";
import { rbac } from "./http/rbac/rbac.ts";
import { script } from "./http/script/script.ts";
import { createRouter } from "./http/router/router.ts";
import { setMetadata } from "./http/set-metadata/set-metadata.ts";
import { statefulSession } from "./http/stateful-session/stateful-session.ts";
import { httpInspector } from "./listener/http-inspector/http-inspector.ts";
import { originalDst } from "./listener/original-dst/original-dst.ts";
import { originalSrc } from "./listener/original-src/original-src.ts";
import { proxyProtocol } from "./listener/proxy-protocol/proxy-protocol.ts";
import { tlsInspector } from "./listener/tls-inspector/tls-inspector.ts";
import { createHttpConnectionManagerSpec } from "./network/http-connection-manager/http-connection-manager.ts";
import { istioMetadataExchange, istioStats } from "./network/istio-passive/istio-passive.ts";
import { networkExtAuthz } from "./network/ext-authz/ext-authz.ts";
import { networkRbac } from "./network/rbac/rbac.ts";
import { sniCluster } from "./network/sni-cluster/sni-cluster.ts";
import { tcpProxy } from "./network/tcp-proxy/tcp-proxy.ts";

const byExtension = <S extends { readonly extension: string }>(specs: readonly S[]): ReadonlyMap<string, S> =>
  new Map(specs.map((spec) => [spec.extension, spec]));

/** Listener filters. */
export const listenerFilters = byExtension<ListenerFilterSpec>([originalDst, originalSrc, proxyProtocol, tlsInspector, httpInspector]);

/** HTTP filters; the router is the terminal of their chain and made apart. */
const httpFilters = byExtension<HttpFilterSpec>([
  rbac,
  jwtAuthn,
  extAuthz,
  localRateLimit,
  cors,
  fault,
  istioAlpn,
  statefulSession,
  buffer,
  csrf,
  grpcStats,
  headerMutation,
  healthCheck,
  script,
  setMetadata,
  compressor,
  decompressor,
  grpcWeb,
  rateLimit,
]);

/** Network filters. */
export const networkFilters = byExtension<NetworkFilterSpec>([
  istioMetadataExchange,
  istioStats,
  networkRbac,
  networkExtAuthz,
  sniCluster,
  tcpProxy,
  createHttpConnectionManagerSpec(httpFilters, createRouter),
]);

/** Canonical names of everything above, for configuration checks. */
export const filterSupport = {
  supportedListenerFilters: new Set(listenerFilters.keys()),
  supportedNetworkFilters: new Set(networkFilters.keys()),
  // The stats filter has no part in a stream: listener/istio-metrics.ts sees whether it is there.
  supportedHttpFilters: new Set([...httpFilters.keys(), routerExtension, istioStatsExtension]),
};
