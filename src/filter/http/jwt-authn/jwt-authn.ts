// envoy.filters.http.jwt_authn: lets requests pass that carry the tokens their rule requires. Keys are local; what cannot be
// verified does not pass.
import type { JwtAuthnConfig } from "../../../envoy/http-filter/jwt-authn.ts";
import type { HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../http/filter.ts";
import { compileTokenCheck } from "./token-check.ts";

/** The JWT filter. */
export const jwtAuthn: HttpFilterSpec = {
  extension: "envoy.filters.http.jwt_authn",
  create: (config, context) => createJwtAuthn(config as JwtAuthnConfig, context),
};

function createJwtAuthn(config: JwtAuthnConfig, context: HttpFilterContext): HttpFilter {
  const check = compileTokenCheck(config, context.filterName);
  const scope = context.scope.scope("jwt_authn");
  const allowed = scope.counter("allowed");
  const denied = scope.counter("denied");
  const bypassed = scope.counter("cors_preflight_bypassed");
  return {
    onRequestHeaders: (stream) => {
      const verdict = check(stream, Math.floor(context.clock.wallMs() / 1000));
      if (verdict === "allowed" || verdict === "bypassed") {
        (verdict === "allowed" ? allowed : bypassed).inc();
        return "continue";
      }
      denied.inc();
      stream.sendLocalReply(verdict);
      return "stop";
    },
  };
}
