// envoy.filters.http.rbac: refuses requests that the rules do not let pass.
import type { HttpRbacConfig, HttpRbacPerRoute } from "../../../envoy/http-filter/rbac.ts";
import type { HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../http/filter.ts";
import type { LocalReply } from "../../../http/local-reply.ts";
import { perRoute } from "../../../http/route/per-route.ts";
import type { HttpStream } from "../../../http/stream.ts";
import { createRbacEngine, deniedDetails } from "../../rbac-engine.ts";

/** The RBAC filter. */
export const rbac: HttpFilterSpec = {
  extension: "envoy.filters.http.rbac",
  create: (config, context) => createRbac(config as HttpRbacConfig, context),
};

function createRbac(config: HttpRbacConfig, context: HttpFilterContext): HttpFilter {
  const own = compileEnforcer(config, context);
  const override = perRoute(context.filterName, (model: HttpRbacPerRoute) => compileEnforcer(model.rbac, context));
  return {
    onRequestHeaders: (stream) => {
      const enforce = override(stream) ?? own;
      return enforce(stream) ? "continue" : "stop";
    },
  };
}

/** True when the request may go on; otherwise it was answered. */
type Enforcer = (stream: HttpStream) => boolean;

function compileEnforcer(config: HttpRbacConfig | undefined, context: HttpFilterContext): Enforcer {
  const shadow = context.scope.scope("rbac");
  const scopes = { rules: config?.rulesStatPrefix ? context.scope.scope(`rbac.${config.rulesStatPrefix}`) : shadow, shadow };
  const engine = config && createRbacEngine(rbac.extension, config, scopes, context.logger);
  if (engine === undefined) return () => true;
  const replies = new Map(["none", ...(config?.rules?.policies ?? []).map(({ name }) => name)].map((name) => [name, deniedBy(name)]));
  return (stream) => {
    const policy = engine.decide(stream.info.connection, stream, stream.info);
    if (policy === undefined) return true;
    stream.sendLocalReply(replies.get(policy) ?? deniedBy(policy));
    return false;
  };
}

function deniedBy(policy: string): LocalReply {
  return { status: 403, body: "RBAC: access denied", details: deniedDetails(policy), flags: 0 };
}
