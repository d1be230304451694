// DestinationRule's tcp.maxConnectionDuration on the wire: connections to the service are replaced when they have lasted so long.
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { startHttpApp } from "../../support/mesh/apps.ts";
import { createMesh } from "../../support/mesh/mesh.ts";
import { istio, proxyNode, service, workload } from "../../support/mesh/objects.ts";
import { getMany, tally } from "../../support/mesh/traffic.ts";

const host = "web.default.svc.cluster.local";

async function startService(t: TestContext, connectionPool: object) {
  const mesh = await createMesh(t);
  const app = await startHttpApp(t, "web", mesh.ip(1, 10));
  const port = await mesh.freePort();
  await mesh.config({});
  await mesh.write("nodes.yaml", [{ nodes: [proxyNode({ name: "client", ip: mesh.ip(1, 5), cluster: "c1" })] }]);
  await mesh.write("k8s/c1/web.yaml", [
    service("web", mesh.ip(1, 80), [{ name: "http", port }]),
    ...workload("web", { name: "web-0", ip: app.ip, ports: { http: app.port } }),
  ]);
  await mesh.write("istio/rule.yaml", [istio("DestinationRule", "web", { host, trafficPolicy: { connectionPool } })]);
  const client = await mesh.start("client");
  const stat = (name: string): number => client.stat(`cluster.outbound|${port}||${host};.${name}`);
  return { stat, target: { ip: mesh.ip(1, 80), port, host } };
}

/** Waits until a figure is reached; fails after five seconds. */
async function reaches(value: () => number, expected: number): Promise<void> {
  for (const deadline = Date.now() + 5000; value() < expected;) {
    assert.ok(Date.now() < deadline, `${value()} instead of ${expected}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

suite("tcp.maxConnectionDuration of a DestinationRule", () => {
  test("a connection that has lasted so long is closed, and the next request dials again", async (t) => {
    const { stat, target } = await startService(t, { tcp: { maxConnectionDuration: "0.3s" } });
    assert.deepEqual(tally(await getMany(1, target)), { web: 1 });
    await reaches(() => stat("upstream_cx_max_duration_reached"), 1);
    await reaches(() => stat("upstream_cx_destroy_local"), 1);
    assert.deepEqual(tally(await getMany(1, target)), { web: 1 });
    assert.equal(stat("upstream_cx_total"), 2);
  });

  test("without it, one connection serves", async (t) => {
    const { stat, target } = await startService(t, { tcp: { maxConnections: 10 } });
    assert.deepEqual(tally(await getMany(3, target)), { web: 3 });
    assert.deepEqual([stat("upstream_cx_total"), stat("upstream_cx_max_duration_reached")], [1, 0]);
  });
});
