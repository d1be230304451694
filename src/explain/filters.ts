// What a chain's filters for tokens and authorization make of a request or a connection, in their order and by the code that decides
// it in a worker. Authorizers are not asked: what they are asked about is told.
import type { ExtAuthzConfig, ExtAuthzPerRoute, NetworkExtAuthzConfig } from "../envoy/http-filter/ext-authz.ts";
import type { JwtAuthnConfig } from "../envoy/http-filter/jwt-authn.ts";
import type { HttpRbacConfig, HttpRbacPerRoute, NetworkRbacConfig, RbacPrincipal, RbacRules } from "../envoy/http-filter/rbac.ts";
import type { FilterConfig } from "../envoy/listener/listener.ts";
import type { MetadataMatcher } from "../envoy/metadata-matcher.ts";
import { readKeySet } from "../filter/http/jwt-authn/jwks.ts";
import { parseJwt } from "../filter/http/jwt-authn/jwt.ts";
import { type CheckedRequest, compileTokenCheck } from "../filter/http/jwt-authn/token-check.ts";
import { compileTokenFinder } from "../filter/http/jwt-authn/token-location.ts";
import { createRbacEngine, deniedDetails } from "../filter/rbac-engine.ts";
import { plainReply } from "../http/local-reply.ts";
import { compileMetadataMatcher } from "../match/metadata-matcher.ts";
import { compileRbac, type RbacConnection, type RbacTest } from "../match/rbac.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { MetadataHolder } from "../telemetry/stream-info.ts";
import { unrecorded } from "../telemetry/unrecorded.ts";
import type { Reason } from "./explanation.ts";
import type { Judgement, PolicyObjects } from "./knowledge.ts";

/** Who and what is judged. */
export interface Judged {
  readonly connection: RbacConnection & MetadataHolder;
  /** Undefined: a bare connection. Tokens are taken out of it, and what filters add is added. */
  readonly request: CheckedRequest | undefined;
  /** Since the epoch. */
  readonly nowSeconds: number;
  /** False: the client's address and certificate are not part of the question. */
  readonly clientKnown: boolean;
  /** The objects behind the filters; undefined: nobody knows them. */
  readonly policies: PolicyObjects | undefined;
}

/** What is found on the way. */
interface Findings {
  readonly reasons: Reason[];
  readonly open: Reason[];
  readonly assumed: Set<string>;
}

type Refusal = NonNullable<Judgement["refusal"]>;
type Judge = (filter: FilterConfig, judged: Judged, findings: Findings) => Refusal | undefined;

const judges: ReadonlyMap<string, Judge> = new Map<string, Judge>([
  ["envoy.filters.http.rbac", judgeHttpRules],
  [
    "envoy.filters.network.rbac",
    ({ extension, config }, judged, found) => judgeRules(extension, config as NetworkRbacConfig, judged, found),
  ],
  ["envoy.filters.http.jwt_authn", judgeTokens],
  ["envoy.filters.http.ext_authz", tellAuthorizer],
  ["envoy.filters.network.ext_authz", tellAuthorizer],
]);

/** Asks the filters, up to the first that refuses; undefined when none of them is of this kind. */
export function judgeFilters(filters: readonly FilterConfig[], judged: Judged): Judgement | undefined {
  const found: Findings = { reasons: [], open: [], assumed: new Set() };
  let refusal: Refusal | undefined;
  let asked = false;
  for (const filter of filters) {
    const judge = judges.get(filter.extension);
    if (judge === undefined || (overrideOf(filter, judged)?.disabled ?? filter.disabled)) continue;
    asked = true;
    refusal = judge(filter, judged, found);
    if (refusal !== undefined) break;
  }
  return asked ? { refusal, reasons: found.reasons, open: found.open, assumed: [...found.assumed] } : undefined;
}

const overrideOf = ({ name }: FilterConfig, { request }: Judged): { readonly disabled: boolean; readonly config?: unknown } | undefined =>
  request?.route?.filterConfig(name);

function judgeHttpRules(filter: FilterConfig, judged: Judged, found: Findings): Refusal | undefined {
  const override = overrideOf(filter, judged)?.config as HttpRbacPerRoute | undefined;
  const config = override === undefined ? (filter.config as HttpRbacConfig) : override.rbac;
  return config && judgeRules(filter.extension, config, judged, found);
}

function judgeRules(
  extension: string,
  { rules, shadowRules, shadowRulesStatPrefix }: HttpRbacConfig | NetworkRbacConfig,
  judged: Judged,
  { reasons, assumed }: Findings,
): Refusal | undefined {
  const { connection, request, policies, clientKnown } = judged;
  // Dry runs decide nothing; other shadow rules say what an authorizer is asked about.
  const deciding = [rules, shadowRulesStatPrefix.startsWith("istio_dry_run_") ? undefined : shadowRules];
  if (!clientKnown && deciding.some((each) => each !== undefined && asksWho(each, connection, request)))
    assumed.add(`rules ask who the client is, which is not part of the question: ${connection.remote.ip} without a certificate is assumed`);
  if (shadowRules !== undefined)
    createRbacEngine(extension, { shadowRules, shadowRulesStatPrefix }, { rules: unrecorded, shadow: unrecorded }, unheard)?.decide(
      connection,
      request,
      request?.info ?? connection,
    );
  if (rules === undefined) return undefined;
  const { allowed, policy } = compileRbac(rules)(connection, request);
  const rule = policy === undefined ? undefined : (policies?.rule(policy) ?? { text: `rule ${policy} (${rules.action}) matches` });
  if (allowed) {
    if (rule !== undefined && rules.action !== "LOG") reasons.push(rule);
    return undefined;
  }
  if (rule !== undefined) reasons.push(rule);
  else
    reasons.push({ text: "no ALLOW policy of the workload matches" }, ...(policies?.untried(rules.policies.map(({ name }) => name)) ?? []));
  const denied = policy ?? "none";
  return { ...plainReply(403, deniedDetails(denied)), policy: denied };
}

/** True when the client's address or certificate decides whether a rule matches what is asked for. */
function asksWho({ policies }: RbacRules, ...about: Parameters<RbacTest>): boolean {
  const who = (principal: RbacPrincipal): boolean => {
    switch (principal.kind) {
      case "and":
      case "or":
        return principal.ids.some(who);
      case "not":
        return who(principal.id);
      default:
        return principal.kind === "ip" || principal.kind === "authenticated";
    }
  };
  const anybody: RbacPrincipal = { kind: "any" };
  return policies.some((policy) => {
    const whoever = compileRbac({ action: "DENY", policies: [{ ...policy, principals: [anybody] }] });
    return policy.principals.some(who) && !whoever(...about).allowed;
  });
}

function judgeTokens(filter: FilterConfig, { request, nowSeconds, policies }: Judged, found: Findings): Refusal | undefined {
  if (request === undefined) return undefined;
  const config = filter.config as JwtAuthnConfig;
  const tokens = tokensOf(config, request);
  const check = compileTokenCheck(config, filter.name, ({ name, jwks }) => {
    const from = policies?.tokenRule(name)?.keysFrom;
    if (from === undefined) return readKeySet(jwks);
    const assumption = `the signature of the token is taken to be good: its keys are those of ${from}, which are not fetched here`;
    return { verify: () => (found.assumed.add(assumption), undefined) };
  });
  const verdict = check(request, nowSeconds);
  const rules = config.providers.map(({ name, issuer }) => ({ issuer, rule: policies?.tokenRule(name) ?? { text: `provider ${name}` } }));
  if (verdict === "bypassed") {
    found.reasons.push({ text: "a CORS preflight needs no token" });
    return undefined;
  }
  const outcome = verdict === "allowed" ? "is good" : `is refused (${verdict.body})`;
  if (tokens.length === 0) {
    const where = rules.map(({ rule }) => rule.text).join(", ");
    found.reasons.push({ ...rules[0]?.rule, text: `no token is where it would be looked for by ${where}` });
  }
  for (const { issuer, subject } of tokens) {
    const own = rules.filter((each) => each.issuer === issuer || each.issuer === "");
    const title = `the token of ${issuer === undefined ? "nobody known" : issuer === "" ? "no issuer" : issuer}${subject === "" ? "" : `, sub ${subject},`}`;
    if (own.length === 0) {
      found.reasons.push({ text: `${title} ${outcome}` });
      for (const { issuer: taken, rule } of rules)
        found.reasons.push({ ...rule, text: `${rule.text} takes tokens of ${taken || "anybody"}` });
    } else for (const { rule } of own.slice(0, 1)) found.reasons.push({ ...rule, text: `${title} ${outcome}: ${rule.text}` });
  }
  return verdict === "allowed" ? undefined : { ...verdict, policy: undefined };
}

interface TokenFacts {
  /** Undefined: it cannot be read. */
  readonly issuer: string | undefined;
  readonly subject: string;
}

function tokensOf({ providers }: JwtAuthnConfig, request: CheckedRequest): readonly TokenFacts[] {
  const texts = new Set(providers.flatMap((provider) => compileTokenFinder(provider)(request).map(({ token }) => token)));
  return [...texts].map((text) => {
    const jwt = parseJwt(text);
    if (typeof jwt === "string") return { issuer: undefined, subject: "" };
    const { sub } = jwt.claims;
    return { issuer: jwt.issuer, subject: typeof sub === "string" ? sub : "" };
  });
}

/** Says who is asked, and by which rule; the answer is nobody's to know. */
function tellAuthorizer(filter: FilterConfig, judged: Judged, { reasons, open }: Findings): undefined {
  const { service, enabledMetadata } = filter.config as ExtAuthzConfig | NetworkExtAuthzConfig;
  const override = overrideOf(filter, judged)?.config as ExtAuthzPerRoute | undefined;
  if (override?.kind === "disabled") return;
  const { dynamicMetadata } = judged.request?.info ?? judged.connection;
  if (enabledMetadata !== undefined && !compileMetadataMatcher(enabledMetadata)(dynamicMetadata)) {
    reasons.push({ text: `${service.cluster} is not asked: no rule of CUSTOM policies matches` });
    return;
  }
  const mark = enabledMetadata === undefined ? undefined : markOf(enabledMetadata, dynamicMetadata);
  const known = mark === undefined ? undefined : judged.policies?.authorizer(mark);
  const place = known?.place === undefined ? {} : { place: known.place };
  const name = known?.name ?? `the external authorizer ${service.cluster}`;
  reasons.push({
    text: `${name} is asked${known === undefined ? (mark === undefined ? "" : ` by ${mark}`) : `: ${known.text}`}`,
    ...place,
  });
  open.push({ text: name, ...place });
}

/** What the rules before have written where the filter looks: the name of the rule. */
function markOf({ filter, path }: MetadataMatcher, metadata: RbacConnection["dynamicMetadata"]): string | undefined {
  const [key = ""] = path;
  const value = metadata?.get(filter)?.[key];
  return path.length === 1 && typeof value === "string" ? value : undefined;
}

const nothing = (): void => undefined;
/** A log that nobody reads. */
export const unheard: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => unheard };
