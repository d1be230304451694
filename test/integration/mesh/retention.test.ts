// In-cluster traffic retention switched on and off in the watched meshconfig.yaml while requests run.
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { startHttpApp } from "../../support/mesh/apps.ts";
import { createMesh } from "../../support/mesh/mesh.ts";
import { proxyNode, service, workload, type MeshJson } from "../../support/mesh/objects.ts";
import { get, getMany, startTraffic, tally } from "../../support/mesh/traffic.ts";
import { until } from "../../support/mesh/until.ts";

const host = "web.default.svc.cluster.local";
const retained = (hosts: readonly string[], clusterLocal = true) => ({ serviceSettings: [{ settings: { clusterLocal }, hosts }] });

async function startTwoClusters(t: TestContext, config: MeshJson = {}) {
  const mesh = await createMesh(t);
  const [own, other] = [await startHttpApp(t, "own", mesh.ip(1, 10)), await startHttpApp(t, "other", mesh.ip(2, 10))];
  const port = await mesh.freePort();
  const web = (third: number) => service("web", mesh.ip(third, 80), [{ name: "http", port }]);
  await mesh.config(config);
  await mesh.write("nodes.yaml", [{ nodes: [proxyNode({ name: "client", ip: mesh.ip(1, 5), cluster: "c1" })] }]);
  await mesh.write("k8s/c1/web.yaml", [web(1), ...workload("web", { name: "own", ip: own.ip, ports: { http: own.port } })]);
  await mesh.write("k8s/c2/web.yaml", [web(2), ...workload("web", { name: "other", ip: other.ip, ports: { http: other.port } })]);
  const client = await mesh.start("client");
  return { mesh, own, other, client, web, target: { ip: mesh.ip(1, 80), port, host } };
}

suite("clusterLocal", () => {
  test("goes on and off under running requests, live within a second and without a failed one", async (t) => {
    const { mesh, other, client, target } = await startTwoClusters(t);
    const members = `cluster.outbound|${target.port}||${host};.membership_total`;
    const traffic = startTraffic(t, target, 4);
    const both = () => new Set(traffic.answers.slice(-40).map(({ body }) => body)).size === 2;
    const figures: string[] = [];
    await until("requests cross", both);
    for (let round = 0; round < 3; round++) {
      const onMs = await mesh.config(retained([host]));
      await until("only the own endpoint is left", () => client.stat(members) === 1);
      const liveMs = performance.now();
      const seen = traffic.answers.length;
      await until("two hundred more answers", () => traffic.answers.length >= seen + 200);
      const crossed = traffic.answers.filter(({ body }) => body === "other");
      assert.deepEqual(
        crossed.filter(({ startedMs }) => startedMs > liveMs),
        [],
        "no request crosses once it is live",
      );
      const lastMs = Math.max(...crossed.map(({ startedMs }) => startedMs));
      assert.ok(lastMs - onMs < 5_000, `the last one crossed ${lastMs - onMs} ms after the write`);

      const offMs = await mesh.config({});
      const before = other.requests;
      await until("requests cross again", () => other.requests > before);
      figures.push(`on ${(lastMs - onMs).toFixed(0)} ms, off ${(performance.now() - offMs).toFixed(0)} ms`);
    }
    await traffic.stop();
    assert.deepEqual(traffic.failures(), []);
    t.diagnostic(`${figures.join("; ")}; ${traffic.answers.length} requests, 0 failed`);
  });

  // What names the host, and whether its requests stay.
  const cases: readonly [title: string, config: MeshJson, stays: boolean][] = [
    ["the whole mesh", retained(["*"]), true],
    ["its namespace", retained(["*.default.svc.cluster.local"]), true],
    ["another namespace", retained(["*.elsewhere.svc.cluster.local"]), false],
    [
      "the whole mesh but this host",
      { serviceSettings: [...retained(["*"]).serviceSettings, ...retained([host], false).serviceSettings] },
      false,
    ],
  ];
  test("by host, namespace and everything; the narrowest wins", async (t) => {
    const { mesh, client, target } = await startTwoClusters(t);
    const members = `cluster.outbound|${target.port}||${host};.membership_total`;
    for (const [title, config, stays] of cases) {
      await mesh.config(stays ? {} : retained([host]));
      await until(`${title}: the opposite holds`, () => client.stat(members) === (stays ? 2 : 1));
      await mesh.config(config);
      await until(`${title}: it is live`, () => client.stat(members) === (stays ? 1 : 2));
      assert.deepEqual(Object.keys(tally(await getMany(40, target))).toSorted(), stays ? ["own"] : ["other", "own"], title);
    }
  });

  test("keeps a call whose own endpoints are gone from crossing: 503, no healthy upstream", async (t) => {
    const { mesh, other, client, web, target } = await startTwoClusters(t, retained([host]));
    const members = `cluster.outbound|${target.port}||${host};.membership_total`;
    assert.equal((await get(target)).body, "own");
    await mesh.write("k8s/c1/web.yaml", [web(1)]);
    await until("no endpoint is left", () => client.stat(members) === 0);
    const answers = await getMany(20, target);
    assert.deepEqual(tally(answers), { "503 no healthy upstream": 20 });
    assert.equal(other.requests, 0);
    const [record] = await mesh.logged(({ status }) => status === 503);
    assert.deepEqual([record?.flags, record?.details], ["UH", "no_healthy_upstream"]);
    // And without retention the other cluster serves it.
    await mesh.config({});
    await until("the other cluster's endpoint is there", () => client.stat(members) === 1);
    assert.equal((await get(target)).body, "other");
  });
});
