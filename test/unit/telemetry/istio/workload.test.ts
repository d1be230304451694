// Workloads out of metadata.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { parseWorkload, unknownWorkload, workloadOfNode } from "../../../../src/telemetry/istio/workload.ts";

const node = (metadata: Readonly<Record<string, unknown>>) =>
  workloadOfNode({ id: "", cluster: "", locality: { region: "", zone: "", subZone: "" }, metadata });

suite("workloads", () => {
  test("of a node, by its labels in Istio's order", () => {
    const labels = { "app.kubernetes.io/name": "shop", app: "web", version: "v2", "service.istio.io/canonical-revision": "r3" };
    assert.deepEqual(node({ WORKLOAD_NAME: "web-v2", NAME: "web-v2-x1", NAMESPACE: "apps", CLUSTER_ID: "c1", LABELS: labels }), {
      name: "web-v2",
      namespace: "apps",
      canonicalService: "shop",
      canonicalRevision: "r3",
      app: "web",
      version: "v2",
      cluster: "c1",
    });
  });

  test("of a bare pod, by its name", () => {
    const { name, canonicalService } = node({ NAME: "sleep" });
    assert.deepEqual([name, canonicalService], ["sleep", "sleep"]);
  });

  for (const metadata of [{}, { LABELS: null, NAME: 1 }, { LABELS: "app=a" }])
    test(`of a node with ${JSON.stringify(metadata)}: nothing`, () => assert.deepEqual(node(metadata), unknownWorkload));

  test("of an endpoint, and of a network's gateway", () => {
    const { name, namespace, canonicalRevision, cluster } = parseWorkload("web;default;shop;;c2");
    assert.deepEqual([name, namespace, canonicalRevision, cluster], ["web", "default", "", "c2"]);
    assert.deepEqual(parseWorkload(";;;;c2"), { ...unknownWorkload, cluster: "c2" });
    assert.deepEqual(parseWorkload(""), unknownWorkload);
  });
});
