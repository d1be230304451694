// Which workloads a security policy is for: a selector of labels, or references to the Gateways it is attached to.
import type { Fields } from "../object/fields.ts";
import { labelsMatch } from "../registry/service.ts";

/** A reference to what a policy is attached to. */
export interface TargetRef {
  readonly group: string;
  readonly kind: string;
  readonly name: string;
  /** Empty: the policy's own. */
  readonly namespace: string;
}

/** Where a policy applies, beside its namespace. */
export interface PolicyTarget {
  /** `selector.matchLabels`; empty selects every workload. */
  readonly selector: Readonly<Record<string, string>>;
  /** `targetRefs`, or the older `targetRef`. */
  readonly refs: readonly TargetRef[];
}

/** A proxy as policies choose it. */
export interface PolicySubject {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

// A proxy made for a Gateway of the Kubernetes Gateway API bears this label.
const gatewayNameLabel = "gateway.networking.k8s.io/gateway-name";
const gatewayGroup = "gateway.networking.k8s.io";

/** Reads `selector`, `targetRef` and `targetRefs`; more than one of them is an error, as in Istio. */
export function readPolicyTarget(spec: Fields): PolicyTarget {
  const selector = spec.child("selector");
  const one = spec.child("targetRef");
  const refs = [...(one === undefined ? [] : [readTargetRef(one)]), ...spec.list("targetRefs", readTargetRef)];
  const given = ["selector", "targetRef", "targetRefs"].filter((key) => spec.has(key));
  if (given.length > 1) spec.error(given[1]!, `is given beside ${given[0]}, expected one of them alone`);
  return { selector: selector === undefined ? {} : readSelector(selector), refs };
}

function readSelector(selector: Fields): Readonly<Record<string, string>> {
  const labels = selector.stringMap("matchLabels");
  for (const [name, value] of Object.entries(labels)) {
    // Istio compares labels as they stand, so a pattern would select nothing.
    if (name === "" || `${name}${value}`.includes("*"))
      selector.error("matchLabels", `has "${name}: ${value}", expected a label without * and with a name`);
  }
  selector.finish();
  return labels;
}

const attachable: ReadonlySet<string> = new Set([
  `${gatewayGroup}/Gateway`,
  `${gatewayGroup}/GatewayClass`,
  "/Service",
  "core/Service",
  "networking.istio.io/ServiceEntry",
]);

function readTargetRef(item: Fields): TargetRef {
  const ref = {
    group: item.string("group") ?? "",
    kind: item.requiredString("kind"),
    name: item.requiredString("name"),
    namespace: item.string("namespace") ?? "",
  };
  if (ref.kind !== "" && !attachable.has(`${ref.group}/${ref.kind}`))
    item.error("kind", `is ${ref.kind} of group "${ref.group}", expected a Gateway of ${gatewayGroup}, a Service or a ServiceEntry`);
  if (ref.namespace !== "") item.error("namespace", "is given, expected none: a policy is attached within its own namespace");
  item.finish();
  return ref;
}

/**
 * True when a policy of `namespace` concerns the proxy. References reach the proxies of Gateways only: Services and
 * ServiceEntries are attached to by waypoints, which this build is not.
 */
export function isForProxy(target: PolicyTarget, namespace: string, subject: PolicySubject): boolean {
  if (target.refs.length === 0) return labelsMatch(target.selector, subject.labels);
  const gateway = subject.labels[gatewayNameLabel];
  if (gateway === undefined || namespace !== subject.namespace) return false;
  return target.refs.some(({ group, kind, name }) => group === gatewayGroup && kind === "Gateway" && name === gateway);
}
