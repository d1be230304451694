// Locality failover: the near endpoints die, the far region takes over where outlier detection can see it.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { suite, test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startHttpApp, type App } from "../../support/mesh/apps.ts";
import { createMesh } from "../../support/mesh/mesh.ts";
import { istio, kubernetesNode, proxyNode, service, workload } from "../../support/mesh/objects.ts";
import { getMany, tally } from "../../support/mesh/traffic.ts";

const host = "web.default.svc.cluster.local";
const program = fileURLToPath(new URL("../../../scripts/isthmus", import.meta.url));
const localityLbSetting = { enabled: true, failover: [{ from: "r1", to: "r2" }] };
const outlierDetection = { consecutive5xxErrors: 2, interval: "1s", baseEjectionTime: "60s", maxEjectionPercent: 100 };

async function startRegions(t: TestContext, policy: object) {
  const mesh = await createMesh(t);
  const near = [await startHttpApp(t, "near", mesh.ip(1, 10)), await startHttpApp(t, "near", mesh.ip(1, 11))];
  const far = await startHttpApp(t, "far", mesh.ip(2, 10));
  const third = await startHttpApp(t, "third", mesh.ip(3, 10));
  const port = await mesh.freePort();
  const cluster = (number: number, apps: readonly App[]) =>
    mesh.write(`k8s/c${number}/web.yaml`, [
      kubernetesNode(`n${number}`, `r${number}`, "a"),
      service("web", mesh.ip(number, 80), [{ name: "http", port }]),
      ...apps.flatMap((app, i) => workload("web", { name: `web-${i}`, ip: app.ip, ports: { http: app.port }, node: `n${number}` })),
    ]);
  await mesh.config({});
  await mesh.write("nodes.yaml", [{ nodes: [proxyNode({ name: "client", ip: mesh.ip(1, 5), cluster: "c1", locality: "r1/a" })] }]);
  await cluster(1, near);
  await cluster(2, [far]);
  await cluster(3, [third]);
  await mesh.write("istio/rule.yaml", [istio("DestinationRule", "web", { host, trafficPolicy: policy })]);
  const client = await mesh.start("client");
  return { mesh, near, far, third, client, target: { ip: mesh.ip(1, 80), port, host } };
}

suite("locality failover", () => {
  test("near endpoints serve while they live; when they die the named region takes over, and no other", async (t) => {
    const { near, third, client, target } = await startRegions(t, { outlierDetection, loadBalancer: { localityLbSetting } });
    assert.deepEqual(tally(await getMany(30, target)), { near: 30 });
    for (const app of near) await app.die();
    // Retries hide what it takes to find out; a request that met dead endpoints only may fail until they are ejected.
    const settling = await getMany(20, target);
    assert.ok(settling.filter(({ status }) => status !== 200).length <= 4, JSON.stringify(tally(settling)));
    assert.deepEqual(tally(await getMany(50, target)), { far: 50 });
    assert.equal(third.requests, 0);
    assert.equal(client.stat(`cluster.outbound|${target.port}||${host};.outlier_detection.ejections_active`), 2);
  });

  test("failing answers count as much as a dead process", async (t) => {
    const { mesh, far, target } = await startRegions(t, { outlierDetection, loadBalancer: { localityLbSetting } });
    const port = target.port;
    const sick = await startHttpApp(t, "sick", mesh.ip(1, 20), (_, response) => response.writeHead(500).end("sick"));
    await mesh.write("k8s/c1/web.yaml", [
      kubernetesNode("n1", "r1", "a"),
      service("web", mesh.ip(1, 80), [{ name: "http", port }]),
      ...workload("web", { name: "sick", ip: sick.ip, ports: { http: sick.port }, node: "n1" }),
    ]);
    let last = "";
    for (let i = 0; i < 2_000 && last !== "far"; i++) last = (await getMany(1, target))[0]!.body;
    assert.equal(last, "far");
    assert.equal(sick.requests, 2, "the second failure in a row ejects");
    assert.deepEqual(tally(await getMany(20, target)), { far: 20 });
    assert.ok(far.requests >= 20);
  });

  test("without outlier detection there is no failover, and `isthmus check` says so", async (t) => {
    const { mesh, near, far, target } = await startRegions(t, { loadBalancer: { localityLbSetting } });
    const before = tally(await getMany(60, target));
    // Priorities need somebody to notice failures: without, all regions share the load, and the dead ones go on getting theirs.
    assert.deepEqual(Object.keys(before).toSorted(), ["far", "near", "third"], JSON.stringify(before));
    for (const app of near) await app.die();
    const after = await getMany(60, target);
    assert.ok(far.requests > 0);
    const { stdout, stderr } = await promisify(execFile)(program, ["check", mesh.folder]).catch(
      (thrown: unknown) => thrown as { stdout: string; stderr: string },
    );
    assert.match(stdout + stderr, /rule\.yaml.*localityLbSetting: fails over without outlierDetection/);
    t.diagnostic(`near dead: ${JSON.stringify(tally(after))}`);
  });
});
