// Which policy holds for a workload and its ports. The expectations were compared with what Istio 1.29 makes of the same policies.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { MutualTlsMode, PeerAuthenticationSpec } from "../../../../../src/source/mesh/istio/peer-authentication.ts";
import { indexPeerAuthentications, modeAtPort } from "../../../../../src/source/mesh/istio/peer-authentications.ts";
import { byAge, emptyMeshView } from "../../../../../src/source/mesh/mesh-view.ts";
import type { MeshObject } from "../../../../../src/source/mesh/object/mesh-object.ts";

type Policy = MeshObject<PeerAuthenticationSpec>;

const root = "istio-system";

function policy(
  namespace: string,
  mode: MutualTlsMode | undefined,
  over: Partial<PeerAuthenticationSpec> = {},
  age = 0,
  name = "p",
): Policy {
  const source = { file: "istio/p.yaml", line: 1, column: 1 };
  const meta = { kind: "PeerAuthentication", name, namespace, labels: {}, annotations: {}, createdAt: 10 - age, source };
  return { meta, spec: { selector: {}, mode, ports: new Map(), ...over } };
}

const app = { selector: { app: "a" } };
const ports = (...entries: readonly (readonly [number, MutualTlsMode | undefined])[]): Pick<PeerAuthenticationSpec, "ports"> => ({
  ports: new Map(entries),
});

/** Policies, and the modes of the workload `a` of namespace `shop`: as a whole, at port 80, and of its namespace. */
const cases: readonly (readonly [string, readonly Policy[], readonly [MutualTlsMode, MutualTlsMode, MutualTlsMode]])[] = [
  ["nothing said is PERMISSIVE", [], ["PERMISSIVE", "PERMISSIVE", "PERMISSIVE"]],
  ["the mesh's", [policy(root, "STRICT")], ["STRICT", "STRICT", "STRICT"]],
  ["the mesh's UNSET is PERMISSIVE", [policy(root, undefined)], ["PERMISSIVE", "PERMISSIVE", "PERMISSIVE"]],
  ["the namespace's before the mesh's", [policy(root, "STRICT"), policy("shop", "DISABLE")], ["DISABLE", "DISABLE", "DISABLE"]],
  ["the namespace's UNSET inherits", [policy(root, "STRICT"), policy("shop", undefined)], ["STRICT", "STRICT", "STRICT"]],
  ["another namespace's is not looked at", [policy("other", "STRICT")], ["PERMISSIVE", "PERMISSIVE", "PERMISSIVE"]],
  ["the workload's before the namespace's", [policy("shop", "DISABLE"), policy("shop", "STRICT", app)], ["STRICT", "STRICT", "DISABLE"]],
  ["the workload's UNSET inherits", [policy("shop", "DISABLE"), policy("shop", undefined, app)], ["DISABLE", "DISABLE", "DISABLE"]],
  [
    "another workload's is not looked at",
    [policy("shop", "STRICT", { selector: { app: "b" } })],
    ["PERMISSIVE", "PERMISSIVE", "PERMISSIVE"],
  ],
  [
    "every label has to match",
    [policy("shop", "STRICT", { selector: { app: "a", version: "v2" } })],
    ["PERMISSIVE", "PERMISSIVE", "PERMISSIVE"],
  ],
  ["a port's own", [policy("shop", "STRICT", { ...app, ...ports([80, "DISABLE"]) })], ["STRICT", "DISABLE", "PERMISSIVE"]],
  [
    "a port's UNSET is the workload's",
    [policy("shop", "STRICT", { ...app, ...ports([80, undefined]) })],
    ["STRICT", "STRICT", "PERMISSIVE"],
  ],
  [
    "a port's, where the workload inherits",
    [policy(root, "STRICT"), policy("shop", undefined, { ...app, ...ports([80, "PERMISSIVE"]) })],
    ["STRICT", "PERMISSIVE", "STRICT"],
  ],
  ["ports of a namespace have no effect", [policy("shop", "STRICT", ports([80, "DISABLE"]))], ["STRICT", "STRICT", "STRICT"]],
  ["the root namespace with a selector has none either", [policy(root, "STRICT", app)], ["PERMISSIVE", "PERMISSIVE", "PERMISSIVE"]],
  ["the oldest of the mesh", [policy(root, "DISABLE", {}, 1), policy(root, "STRICT", {}, 2)], ["STRICT", "STRICT", "STRICT"]],
  [
    "the oldest of a namespace, even if UNSET",
    [policy("shop", "STRICT", {}, 1), policy("shop", undefined, {}, 2)],
    ["PERMISSIVE", "PERMISSIVE", "PERMISSIVE"],
  ],
  [
    "the oldest of a workload, alone",
    [policy("shop", "DISABLE", { ...app, ...ports([80, "STRICT"]) }, 1), policy("shop", "STRICT", app, 2)],
    ["STRICT", "STRICT", "PERMISSIVE"],
  ],
  [
    "of one age, the first by name",
    [policy("shop", "STRICT", app, 0, "b"), policy("shop", "DISABLE", app, 0, "a")],
    ["DISABLE", "DISABLE", "PERMISSIVE"],
  ],
];

suite("the PeerAuthentication that holds", () => {
  for (const [title, policies, expected] of cases) {
    test(title, () => {
      const lookup = indexPeerAuthentications({ ...emptyMeshView, peerAuthentications: policies.toSorted(byAge) });
      const workload = lookup.ofWorkload("shop", { app: "a", version: "v1" });
      assert.deepEqual([workload.mode, modeAtPort(workload, 80), lookup.ofNamespace("shop")], expected);
    });
  }

  test("in the root namespace itself only the mesh's holds", () => {
    const peerAuthentications = [policy(root, "STRICT"), policy(root, "DISABLE", { ...app, ...ports([80, "DISABLE"]) })];
    const workload = indexPeerAuthentications({ ...emptyMeshView, peerAuthentications }).ofWorkload(root, { app: "a" });
    assert.deepEqual([workload.mode, modeAtPort(workload, 80)], ["STRICT", "STRICT"]);
  });
});
