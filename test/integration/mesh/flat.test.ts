// One service in two clusters of one network: balanced over both, and a removed endpoint gets nothing new.
import assert from "node:assert/strict";
import { rename, rm } from "node:fs/promises";
import http from "node:http";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { startHttpApp, type Respond } from "../../support/mesh/apps.ts";
import { createMesh } from "../../support/mesh/mesh.ts";
import { istio, proxyNode, service, workload, type MeshJson } from "../../support/mesh/objects.ts";
import { accepts, get, getMany, startTraffic, tally } from "../../support/mesh/traffic.ts";
import { until } from "../../support/mesh/until.ts";

const host = "web.default.svc.cluster.local";

async function startFlat(t: TestContext, objects: Readonly<Record<string, readonly MeshJson[]>> = {}, respond?: Respond) {
  const mesh = await createMesh(t);
  const east = await startHttpApp(t, "east", mesh.ip(1, 10), respond);
  const west = await startHttpApp(t, "west", mesh.ip(2, 10), respond);
  const port = await mesh.freePort();
  const web = (third: number) => service("web", mesh.ip(third, 80), [{ name: "http", port }]);
  await mesh.config({});
  await mesh.write("nodes.yaml", [{ nodes: [proxyNode({ name: "client", ip: mesh.ip(1, 5), cluster: "c1" })] }]);
  await mesh.write("k8s/c1/web.yaml", [web(1), ...workload("web", { name: "east", ip: east.ip, ports: { http: east.port } })]);
  await mesh.write("k8s/c2/web.yaml", [web(2), ...workload("web", { name: "west", ip: west.ip, ports: { http: west.port } })]);
  for (const [file, content] of Object.entries(objects)) await mesh.write(file, content);
  const client = await mesh.start("client");
  // The address is that of the caller's own cluster.
  return { mesh, east, west, client, web, target: { ip: mesh.ip(1, 80), port, host } };
}

suite("one service in two clusters of one network", () => {
  test("takes turns over both by default (least request), with either cluster's own Service", async (t) => {
    const { target } = await startFlat(t);
    const counts = tally(await getMany(100, target));
    assert.deepEqual(Object.keys(counts).toSorted(), ["east", "west"], JSON.stringify(counts));
    // Two choices at random among two idle hosts: half each, with a chance below 1e-9 of fewer than 20.
    assert.ok(counts["east"]! >= 20 && counts["west"]! >= 20, JSON.stringify(counts));
  });

  test("alternates strictly where a DestinationRule says ROUND_ROBIN", async (t) => {
    const rule = istio("DestinationRule", "web", { host, trafficPolicy: { loadBalancer: { simple: "ROUND_ROBIN" } } });
    const { target } = await startFlat(t, { "istio/rule.yaml": [rule] });
    const bodies = (await getMany(40, target)).map(({ body }) => body);
    assert.deepEqual(
      bodies.map((body, i) => i === 0 || body !== bodies[i - 1]),
      bodies.map(() => true),
      bodies.join(" "),
    );
  });

  test("a removed endpoint gets no new request once the change is live, and nothing fails", async (t) => {
    const { mesh, target, west, web, client } = await startFlat(t);
    assert.equal((await get(target)).status, 200);
    const traffic = startTraffic(t, target);
    const both = () => new Set(traffic.answers.slice(-40).map(({ body }) => body)).size === 2;
    await until("both clusters answer", both);

    const writtenMs = await mesh.write("k8s/c2/web.yaml", [web(2)]);
    await until("one member is left", () => client.stat(`cluster.outbound|${target.port}||${host};.membership_total`) === 1);
    const liveMs = performance.now();
    const before = west.requests;
    const seen = traffic.answers.length;
    await until("a hundred more answers", () => traffic.answers.length >= seen + 100);
    const late = traffic.answers.filter(({ startedMs, body }) => startedMs > liveMs && body === "west");
    assert.deepEqual(late, []);
    // Requests that were under way at that moment, at most one a client.
    assert.ok(west.requests - before <= 2, `${west.requests - before} more`);

    await mesh.write("k8s/c2/web.yaml", [web(2), ...workload("web", { name: "west", ip: west.ip, ports: { http: west.port } })]);
    await until("both clusters answer again", both);
    await traffic.stop();
    assert.deepEqual(traffic.failures(), []);
    t.diagnostic(`endpoint gone ${(liveMs - writtenMs).toFixed(0)} ms after the write; ${traffic.answers.length} requests, 0 failed`);
  });

  test("a cluster whose folder is taken away and put back, and a file broken from the start, cost no request", async (t) => {
    const broken = "istio/broken.yaml";
    const { mesh, target, client } = await startFlat(t);
    const members = (): number => client.stat(`cluster.outbound|${target.port}||${host};.membership_total`);
    const named = (): boolean => client.log.some((line) => line.includes(broken));
    const traffic = startTraffic(t, target);
    await mesh.write(broken, "kind: VirtualService\n  spec: [\n");
    await until("the broken file is named", named);
    for (const round of [1, 2]) {
      const away = join(mesh.folder, "..", "away");
      await rename(join(mesh.folder, "k8s", "c2"), away);
      await until(`round ${round}: the cluster is gone, beside the broken file`, () => members() === 1);
      await rename(away, join(mesh.folder, "k8s", "c2"));
      await until(`round ${round}: it is back`, () => members() === 2);
    }
    // Corrected, it counts.
    const spec = {
      hosts: [host],
      http: [{ route: [{ destination: { host }, headers: { response: { set: { "x-mark": "corrected" } } } }] }],
    };
    await mesh.write(broken, [istio("VirtualService", "web", spec)]);
    await until("the corrected file is live", async () => (await get(target)).headers["x-mark"] === "corrected");
    await rm(join(mesh.folder, "k8s", "c2"), { recursive: true });
    await until("the cluster is gone for good", () => members() === 1);
    assert.deepEqual(Object.keys(tally(await getMany(20, target))), ["east"]);
    await traffic.stop();
    assert.deepEqual(traffic.failures(), []);
  });

  test("a request under way when its service is removed is answered in full; then the connection ends", async (t) => {
    const held: http.ServerResponse[] = [];
    const { mesh, target } = await startFlat(t, {}, (_, response) => {
      response.write("first half, ");
      held.push(response);
    });
    const agent = new http.Agent({ keepAlive: true });
    t.after(() => agent.destroy());
    const answer = get(target, agent);
    await until("the application has the request", () => held.length === 1);
    await mesh.remove("k8s/c1/web.yaml");
    await mesh.remove("k8s/c2/web.yaml");
    await until("the service is gone", async () => !(await accepts(target.ip, target.port)));
    held[0]!.end("second half");
    const { status, body } = await answer;
    assert.deepEqual([status, body], [200, "first half, second half"]);
    // Its answer had begun before, so the client learns of the end from the next one.
    const { headers } = await get(target, agent);
    assert.equal(headers.connection, "close");
    assert.match((await get(target, agent)).body, /ECONNREFUSED/);
  });
});
