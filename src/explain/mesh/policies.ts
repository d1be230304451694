// Whether the policies of a workload let a request of this proxy in, by the filters its sidecar would have; and the objects behind
// such filters.
import { decode } from "../../envoy/decode/cursor.ts";
import { extensions } from "../../envoy/extensions.ts";
import { decodeHttpFilter, decodeNetworkFilter } from "../../envoy/listener/filter-config.ts";
import type { FilterConfig } from "../../envoy/listener/listener.ts";
import type { Result } from "../../error.ts";
import type { RbacConnection } from "../../match/rbac.ts";
import { jwksKey } from "../../source/mesh/authn/jwks-source.ts";
import { jwtRulesOf } from "../../source/mesh/authn/jwt-filter.ts";
import { type AuthorizationPolicy, parseRuleName } from "../../source/mesh/authz/policies.ts";
import type { Json } from "../../source/mesh/envoy-json.ts";
import type { PolicySubject } from "../../source/mesh/istio/policy-target.ts";
import type { MeshEndpoint } from "../../source/mesh/registry/service.ts";
import { securityFilters } from "../../source/mesh/security-filters.ts";
import type { MetadataHolder } from "../../telemetry/stream-info.ts";
import { formatAddress } from "../../upstream/host.ts";
import type { Place, Reason } from "../explanation.ts";
import { judgeFilters } from "../filters.ts";
import type { Caller, Judgement, MeshKnowledge, PolicyObjects } from "../knowledge.ts";
import { clusterOf, type MeshContext } from "./context.ts";

/** Knowledge of who may reach a workload. */
export function knowPolicies(context: MeshContext): Pick<MeshKnowledge, "judge" | "policies"> {
  const { proxy, labels } = context.view;
  return {
    policies: policyObjects(context, { namespace: proxy.namespace, labels }),
    judge: (cluster, address, caller) => {
      const of = clusterOf(context, cluster);
      const endpoint = of?.service.endpoints.find(
        (each) => each.portName === of.port.name && formatAddress({ address: each.address, port: each.port }) === address,
      );
      // Policies are enforced by the workload's sidecar; without one nobody does.
      return endpoint === undefined || !endpoint.mutualTls ? undefined : judgeAt(context, endpoint, caller);
    },
  };
}

function judgeAt(context: MeshContext, endpoint: MeshEndpoint, caller: Caller): Judgement | undefined {
  const { mesh } = context.view;
  const proxy = { namespace: endpoint.namespace, type: "sidecar" as const };
  const { http, tcp } = securityFilters(mesh, proxy, endpoint.labels, context.registry.services);
  const filters = caller.request === undefined ? tcp.map(networkFilter) : http.map(httpFilter);
  return judgeFilters(
    filters.filter((filter) => filter !== undefined),
    {
      connection: connectionOf(context, endpoint, caller),
      request: caller.request,
      nowSeconds: caller.nowSeconds,
      clientKnown: true,
      policies: policyObjects(context, { namespace: endpoint.namespace, labels: endpoint.labels }),
    },
  );
}

const httpFilter = (json: Json): FilterConfig | undefined => filterOf(decode(decodeHttpFilter, json, { extensions }));
const networkFilter = (json: Json): FilterConfig | undefined => filterOf(decode(decodeNetworkFilter, json, { extensions }));
// What cannot be decoded is among the problems of that workload's own configuration.
const filterOf = (decoded: Result<FilterConfig | undefined>): FilterConfig | undefined => (decoded.ok ? decoded.value : undefined);

function policyObjects(context: MeshContext, subject: PolicySubject): PolicyObjects {
  const { view, places } = context;
  const { mesh } = view;
  const tokenRules = new Map(jwtRulesOf(mesh, subject).map((owned) => [owned.provider, owned]));
  return {
    rule: (name) => ruleReason(context, name),
    untried: (names) => whyNone(context, names),
    tokenRule: (provider) => {
      const owned = tokenRules.get(provider);
      if (owned === undefined) return undefined;
      const { meta } = owned.policy;
      const fetched = owned.rule.jwks === "" && !mesh.jwks.has(jwksKey(owned.rule));
      return {
        text: `jwtRules[${owned.index}] of RequestAuthentication ${meta.namespace}/${meta.name}`,
        place: places.of(meta, ["spec", "jwtRules", owned.index]),
        keysFrom: fetched ? owned.rule.jwksUri || owned.rule.issuer : undefined,
      };
    },
    authorizer: (name) => authorizerReason(context, name),
  };
}

function ruleReason(context: MeshContext, ruleName: string): Reason | undefined {
  const found = findRule(context, ruleName);
  return found && { text: `${found.text} matches`, place: found.place };
}

function findRule(
  { view: { mesh }, places }: MeshContext,
  ruleName: string,
): { readonly text: string; readonly place: Place; readonly policy: AuthorizationPolicy } | undefined {
  const named = parseRuleName(ruleName);
  const policy = mesh.authorizationPolicies.find(({ meta }) => meta.namespace === named?.namespace && meta.name === named.name);
  if (named === undefined || policy === undefined) return undefined;
  const text = `rule ${named.rule} of AuthorizationPolicy ${named.namespace}/${named.name} (${policy.spec.action})`;
  return { text, place: places.of(policy.meta, policy.spec.rules.length === 0 ? [] : ["spec", "rules", named.rule]), policy };
}

function authorizerReason(context: MeshContext, ruleName: string): ReturnType<PolicyObjects["authorizer"]> {
  const found = findRule(context, ruleName);
  if (found === undefined) return undefined;
  const { provider } = found.policy.spec;
  const settings = context.view.mesh.config.authorizers.find(({ name }) => name === provider);
  const at = settings === undefined ? "" : ` (${settings.service}, port ${settings.port})`;
  return { name: `extension provider ${provider}${at}`, text: `${found.text} matches`, place: found.place };
}

/** The policies whose rules were tried in vain. */
function whyNone({ view: { mesh }, places }: MeshContext, names: readonly string[]): readonly Reason[] {
  const tried = new Set(names.map((name) => name.replace(/-rule\[\d+\]$/, "")));
  return mesh.authorizationPolicies.flatMap(({ meta, spec }) => {
    if (!tried.has(`ns[${meta.namespace}]-policy[${meta.name}]`)) return [];
    const text = spec.rules.length === 0 ? "has no rules" : "has no rule that does";
    return [{ text: `AuthorizationPolicy ${meta.namespace}/${meta.name} ${text}`, place: places.of(meta) }];
  });
}

function connectionOf({ view }: MeshContext, endpoint: MeshEndpoint, caller: Caller): RbacConnection & MetadataHolder {
  const { proxy, mesh } = view;
  const ip = proxy.addresses[0] ?? "";
  const pods = mesh.clusters.find(({ name }) => name === proxy.cluster)?.pods ?? [];
  const pod = pods.find(({ meta }) => meta.namespace === proxy.namespace && meta.name === proxy.name);
  const account = pod?.spec.serviceAccount ?? "default";
  const identity = `spiffe://${mesh.config.trustDomain}/ns/${proxy.namespace}/sa/${account}`;
  return {
    directRemote: { ip },
    remote: { ip },
    local: { ip: endpoint.address, port: endpoint.port },
    serverName: caller.serverName,
    tls: caller.mutualTls ? { validated: true, uriSans: [identity], dnsSans: [], subject: "" } : undefined,
    dynamicMetadata: undefined,
  };
}
