// What the CORS policies of a virtual host, its route and a weighted cluster come to together.
import type { CorsPolicy } from "../../../envoy/http-filter/cors.ts";

/**
 * Each field as the most specific policy says that says anything of it; whether it is enabled, as the most specific policy does.
 * @param levels least specific first, at least one
 */
export function effectivePolicy(levels: readonly CorsPolicy[]): CorsPolicy {
  return levels.reduce((outer, inner) => ({
    allowOrigin: inner.allowOrigin.length > 0 ? inner.allowOrigin : outer.allowOrigin,
    allowMethods: inner.allowMethods || outer.allowMethods,
    allowHeaders: inner.allowHeaders || outer.allowHeaders,
    exposeHeaders: inner.exposeHeaders || outer.exposeHeaders,
    maxAge: inner.maxAge || outer.maxAge,
    allowCredentials: inner.allowCredentials ?? outer.allowCredentials,
    allowPrivateNetworkAccess: inner.allowPrivateNetworkAccess ?? outer.allowPrivateNetworkAccess,
    forwardNotMatchingPreflights: inner.forwardNotMatchingPreflights ?? outer.forwardNotMatchingPreflights,
    enabledFraction: inner.enabledFraction,
    shadowFraction: inner.shadowFraction,
  }));
}
