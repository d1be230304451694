// PeerAuthentications that Istio accepts and does not act on, in whole or for some workload: whoever wrote one believes in a mode
// that does not hold. Each is a warning.
import { type PeerAuthentication, scopeOf } from "../istio/peer-authentications.ts";
import type { MeshView } from "../mesh-view.ts";
import type { FieldPath } from "../object/fields.ts";
import type { MeshObject } from "../object/mesh-object.ts";
import type { KubernetesPod } from "../registry/kubernetes-objects.ts";
import { labelsMatch } from "../registry/service.ts";
import type { ObjectIssue } from "./object-issue.ts";

/** Every policy, or part of one, without effect. */
export function checkPeerAuthentication(mesh: MeshView): readonly ObjectIssue[] {
  const issues: ObjectIssue[] = [];
  const before: PeerAuthentication[] = [];
  for (const policy of mesh.peerAuthentications) {
    const warn = (path: FieldPath, message: string): void => {
      issues.push({ severity: "warning", meta: policy.meta, path, message });
    };
    const scope = scopeOf(policy, mesh.config.rootNamespace);
    if (scope === "ignored")
      warn(
        ["spec", "selector"],
        "has no effect in the root namespace: the whole policy is ignored, expected it in the workload's own namespace",
      );
    else if (scope === "workload") checkWorkloadPolicy(mesh, policy, before, warn);
    else checkWidePolicy(scope, policy, before, warn);
    before.push(policy);
  }
  return issues;
}

type Warn = (path: FieldPath, message: string) => void;

function checkWidePolicy(scope: "mesh" | "namespace", policy: PeerAuthentication, before: readonly PeerAuthentication[], warn: Warn): void {
  const older = before.find((each) => each.meta.namespace === policy.meta.namespace && !selects(each));
  const whole = scope === "mesh" ? "mesh" : `namespace ${policy.meta.namespace}`;
  if (older !== undefined) warn([], `has no effect: the older ${nameOf(older)} holds for the ${whole}`);
  if (policy.spec.ports.size > 0)
    warn(["spec", "portLevelMtls"], "has no effect without a selector: the ports keep the mode of the policy");
}

function checkWorkloadPolicy(mesh: MeshView, policy: PeerAuthentication, before: readonly PeerAuthentication[], warn: Warn): void {
  const rivals = before.filter((each) => each.meta.namespace === policy.meta.namespace && selects(each));
  const same = rivals.find((each) => sameSelector(each, policy));
  if (same !== undefined) {
    warn([], `has no effect: the older ${nameOf(same)} has the same selector`);
    return;
  }
  const pods = mesh.clusters.flatMap((cluster) => cluster.pods.filter((pod) => isFor(policy, pod)));
  for (const older of rivals) {
    const lost = pods.find((pod) => isFor(older, pod));
    if (lost !== undefined)
      warn([], `has no effect on Pod ${lost.meta.namespace}/${lost.meta.name}, which the older ${nameOf(older)} selects as well`);
  }
  checkPorts(mesh, policy, pods, warn);
}

/** A port of the Service where the workload's own is meant is the commonest mistake. */
function checkPorts(mesh: MeshView, policy: PeerAuthentication, pods: readonly MeshObject<KubernetesPod>[], warn: Warn): void {
  const services = mesh.clusters.flatMap((cluster) =>
    cluster.services.filter(
      ({ meta, spec }) =>
        meta.namespace === policy.meta.namespace &&
        Object.keys(spec.selector).length > 0 &&
        pods.some((pod) => labelsMatch(spec.selector, pod.meta.labels)),
    ),
  );
  const ports = services.flatMap((service) => service.spec.ports.map((port) => ({ ...port, service: service.meta.name })));
  for (const port of policy.spec.ports.keys()) {
    if (ports.some(({ targetPort }) => targetPort === port)) continue;
    const meant = ports.find((each) => each.port === port);
    // A target by name may well be this port.
    if (meant === undefined || typeof meant.targetPort === "string") continue;
    const message = `is a port of Service ${meant.service}, expected the workload's own, to which that one leads: ${meant.targetPort}`;
    warn(["spec", "portLevelMtls", String(port)], message);
  }
}

const selects = ({ spec }: PeerAuthentication): boolean => Object.keys(spec.selector).length > 0;
const nameOf = ({ meta }: PeerAuthentication): string => `PeerAuthentication ${meta.namespace}/${meta.name}`;

function isFor({ meta, spec }: PeerAuthentication, pod: MeshObject<KubernetesPod>): boolean {
  return pod.meta.namespace === meta.namespace && labelsMatch(spec.selector, pod.meta.labels);
}

function sameSelector(a: PeerAuthentication, b: PeerAuthentication): boolean {
  return labelsMatch(a.spec.selector, b.spec.selector) && labelsMatch(b.spec.selector, a.spec.selector);
}
