// envoy.filters.http.rbac: refuses requests that the rules do not let pass.
import type { HttpRbacConfig, HttpRbacPerRoute, RbacRules } from "../../../envoy/http-filter/rbac.ts";
import type { HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../http/filter.ts";
import type { LocalReply } from "../../../http/local-reply.ts";
import { perRoute } from "../../../http/route/per-route.ts";
import type { HttpStream } from "../../../http/stream.ts";
import type { RbacDecision, RbacTest } from "../../../match/rbac.ts";
import { compileRbac } from "../../../match/rbac.ts";

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
  const rules = config?.rules;
  if (config === undefined || rules === undefined) return () => true;
  const decide = compileOrDeny(rules, context);
  const stats = context.scope.scope(config.rulesStatPrefix ? `rbac.${config.rulesStatPrefix}` : "rbac");
  const allowed = stats.counter("allowed");
  const denied = stats.counter("denied");
  const replies = new Map(rules.policies.map(({ name }) => [name, deniedBy(name)]));
  const byNone = deniedBy("none");
  return (stream) => {
    const decision = decide(stream.info.connection, stream);
    if (decision.allowed) {
      allowed.inc();
      return true;
    }
    denied.inc();
    stream.sendLocalReply(decision.policy === undefined ? byNone : replies.get(decision.policy)!);
    return false;
  };
}

// Rules that cannot be compiled (decoding should have refused them) let nobody pass.
function compileOrDeny(rules: RbacRules, context: HttpFilterContext): RbacTest {
  try {
    return compileRbac(rules);
  } catch (thrown) {
    context.logger.error("RBAC rules deny everything, because they cannot be compiled", {
      error: thrown instanceof Error ? thrown.message : String(thrown),
    });
    const denied: RbacDecision = { allowed: false, policy: undefined };
    return () => denied;
  }
}

// Details are one word in the access log, so a policy's spaces become underscores.
function deniedBy(policy: string): LocalReply {
  const details = `rbac_access_denied_matched_policy[${policy.replace(/\s/g, "_")}]`;
  return { status: 403, body: "RBAC: access denied", details, flags: 0 };
}
