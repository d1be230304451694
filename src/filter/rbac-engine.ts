// What the HTTP and the network RBAC filter share: rules that decide, shadow rules that only tell, and how both are counted.
import type { RbacRules } from "../envoy/http-filter/rbac.ts";
import { compileRbac, type RbacConnection, type RbacDecision, type RbacRequest, type RbacTest } from "../match/rbac.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { StatsScope } from "../telemetry/stats.ts";
import { type MetadataHolder, setDynamicMetadata } from "../telemetry/stream-info.ts";

/** Rules and shadow rules of one filter. */
export interface RbacEngine {
  /** Undefined: it may go on; otherwise the name of the policy that refuses it, `none` when no policy lets it pass. */
  decide(connection: RbacConnection, request: RbacRequest | undefined, info: MetadataHolder): string | undefined;
}

/** Configuration of either filter. */
export interface RbacEngineConfig {
  readonly rules?: RbacRules;
  readonly shadowRules?: RbacRules;
  readonly shadowRulesStatPrefix: string;
}

/** How a filter counts: the scope of its rules, and the one above, in which the shadow rules have theirs. */
export interface RbacScopes {
  readonly rules: StatsScope;
  readonly shadow: StatsScope;
}

/** Compiles both; undefined when there are neither. Rules that cannot be compiled let nobody pass. */
export function createRbacEngine(extension: string, config: RbacEngineConfig, scopes: RbacScopes, logger: Logger): RbacEngine | undefined {
  const { rules, shadowRules } = config;
  const shadow = shadowRules && compileShadow(extension, shadowRules, config.shadowRulesStatPrefix, scopes.shadow, logger);
  const enforce = rules && compileRules(extension, rules, scopes.rules, logger);
  if (enforce === undefined) return shadow === undefined ? undefined : { decide: (...about) => (shadow(...about), undefined) };
  if (shadow === undefined) return { decide: enforce };
  // Shadow rules come first, so that their outcome is told of refused requests as well.
  return { decide: (...about) => (shadow(...about), enforce(...about)) };
}

type Step<T> = (connection: RbacConnection, request: RbacRequest | undefined, info: MetadataHolder) => T;

function compileRules(extension: string, rules: RbacRules, stats: StatsScope, logger: Logger): Step<string | undefined> {
  const decide = compileOrDeny(rules, logger);
  const allowed = stats.counter("allowed");
  const denied = stats.counter("denied");
  return (connection, request, info) => {
    const decision = decide(connection, request);
    // LOG refuses nobody: it marks what access logs are to have.
    if (rules.action === "LOG") setDynamicMetadata(info, "envoy.common", { access_log_hint: decision.policy !== undefined });
    if (decision.allowed) {
      allowed.inc();
      return undefined;
    }
    denied.inc();
    // Envoy tells this of requests that pass as well; who reads it asks about refusals, and those that pass are many.
    const told: Record<string, unknown> = { enforced_engine_result: "denied" };
    if (decision.policy !== undefined) told["enforced_effective_policy_id"] = decision.policy;
    setDynamicMetadata(info, extension, told);
    return decision.policy ?? "none";
  };
}

function compileShadow(extension: string, rules: RbacRules, prefix: string, stats: StatsScope, logger: Logger): Step<void> {
  const decide = compileOrDeny(rules, logger);
  const scope = prefix === "" ? stats : stats.scope(prefix);
  const allowed = scope.counter("shadow_allowed");
  const denied = scope.counter("shadow_denied");
  return (connection, request, info) => {
    const decision = decide(connection, request);
    (decision.allowed ? allowed : denied).inc();
    const told: Record<string, unknown> = { [`${prefix}shadow_engine_result`]: decision.allowed ? "allowed" : "denied" };
    if (decision.policy !== undefined) told[`${prefix}shadow_effective_policy_id`] = decision.policy;
    setDynamicMetadata(info, extension, told);
  };
}

function compileOrDeny(rules: RbacRules, logger: Logger): RbacTest {
  try {
    return compileRbac(rules);
  } catch (thrown) {
    logger.error("RBAC rules deny everything, because they cannot be compiled", {
      error: thrown instanceof Error ? thrown.message : String(thrown),
    });
    const denied: RbacDecision = { allowed: false, policy: undefined };
    return () => denied;
  }
}

/** Details of a refusal. One word in the access log, so a policy's spaces become underscores. */
export function deniedDetails(policy: string): string {
  return `rbac_access_denied_matched_policy[${policy.replace(/\s/g, "_")}]`;
}
