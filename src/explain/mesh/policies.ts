// Whether the AuthorizationPolicies of a workload let a request of this proxy in, by the rules its sidecar would have.
import { decode } from "../../envoy/decode/cursor.ts";
import { extensions } from "../../envoy/extensions.ts";
import type { HttpRbacConfig } from "../../envoy/http-filter/rbac.ts";
import { decodeHttpRbac, decodeNetworkRbac } from "../../envoy/http-filter/rbac-decoder.ts";
import { compileRbac, type RbacConnection } from "../../match/rbac.ts";
import { parseRuleName } from "../../source/mesh/authz/policies.ts";
import type { Json } from "../../source/mesh/envoy-json.ts";
import { securityFilters } from "../../source/mesh/security-filters.ts";
import type { MeshEndpoint } from "../../source/mesh/registry/service.ts";
import { formatAddress } from "../../upstream/host.ts";
import type { Reason } from "../explanation.ts";
import type { Caller, Judgement, MeshKnowledge } from "../knowledge.ts";
import { clusterOf, type MeshContext } from "./context.ts";

/** Knowledge of who may reach a workload. */
export function knowPolicies(context: MeshContext): Pick<MeshKnowledge, "judge"> {
  return {
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
  const subject = { namespace: endpoint.namespace, type: "sidecar" as const };
  const filters = securityFilters(mesh, subject, endpoint.labels, context.registry.services);
  const list = caller.request === undefined ? filters.tcp : filters.http;
  if (list.length === 0) return undefined;
  const connection = connectionOf(context, endpoint, caller);
  const reasons: Reason[] = [];
  const open: string[] = [];
  for (const filter of list) {
    const rules = rulesOf(filter, caller.request !== undefined);
    if (rules === undefined) {
      const name = String(filter["name"]);
      if (name.endsWith(".ext_authz")) open.push("an external authorizer");
      if (name.endsWith(".jwt_authn")) open.push("tokens");
      continue;
    }
    const decision = compileRbac(rules)(connection, caller.request);
    const found = decision.policy === undefined ? undefined : ruleReason(context, decision.policy);
    if (!decision.allowed) {
      const policy = decision.policy ?? "none";
      reasons.push(
        found ?? { text: "no ALLOW policy of the workload matches" },
        ...(decision.policy === undefined ? whyNone(context, rules) : []),
      );
      return { allowed: false, policy, reasons, open };
    }
    if (found !== undefined && rules.action !== "LOG") reasons.push(found);
  }
  return { allowed: true, policy: undefined, reasons, open };
}

/** The enforced rules of an RBAC filter; undefined for other filters and for those that only mark or count. */
function rulesOf(filter: Json, http: boolean): HttpRbacConfig["rules"] {
  if (!String(filter["name"]).endsWith(".rbac")) return undefined;
  const { "@type": _type, ...config } = filter["typed_config"] as Json;
  const decoded = http ? decode(decodeHttpRbac, config, { extensions }) : decode(decodeNetworkRbac, config, { extensions });
  return decoded.ok ? decoded.value.rules : undefined;
}

function ruleReason({ view: { mesh }, places }: MeshContext, ruleName: string): Reason | undefined {
  const named = parseRuleName(ruleName);
  const policy = mesh.authorizationPolicies.find(({ meta }) => meta.namespace === named?.namespace && meta.name === named.name);
  if (named === undefined || policy === undefined) return undefined;
  const text = `rule ${named.rule} of AuthorizationPolicy ${named.namespace}/${named.name} (${policy.spec.action}) matches`;
  return { text, place: places.of(policy.meta, policy.spec.rules.length === 0 ? [] : ["spec", "rules", named.rule]) };
}

/** The policies whose rules were tried in vain. */
function whyNone({ view: { mesh }, places }: MeshContext, rules: NonNullable<HttpRbacConfig["rules"]>): readonly Reason[] {
  const tried = new Set(rules.policies.map(({ name }) => name.replace(/-rule\[\d+\]$/, "")));
  return mesh.authorizationPolicies.flatMap((policy) => {
    const { meta, spec } = policy;
    if (!tried.has(`ns[${meta.namespace}]-policy[${meta.name}]`)) return [];
    const text = spec.rules.length === 0 ? "has no rules" : "has no rule that does";
    return [{ text: `AuthorizationPolicy ${meta.namespace}/${meta.name} ${text}`, place: places.of(meta) }];
  });
}

function connectionOf({ view }: MeshContext, endpoint: MeshEndpoint, caller: Caller): RbacConnection {
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
