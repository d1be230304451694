// Two hundred changes of a mesh directory under traffic: each is live within a moment, no request fails, no connection ends.
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { startEchoApp, startHttpApp } from "../../support/mesh/apps.ts";
import { createMesh } from "../../support/mesh/mesh.ts";
import { istio, proxyNode, service, workload } from "../../support/mesh/objects.ts";
import { accepts, get, openLongLived, startTraffic, type Target } from "../../support/mesh/traffic.ts";
import { until } from "../../support/mesh/until.ts";

const host = "web.default.svc.cluster.local";
const bookshop = "shop.example";
/** How long a change may take on a machine that does much else; what it took is printed. */
const liveMs = 5_000;

async function startMesh(t: TestContext) {
  const mesh = await createMesh(t);
  const [east, west] = [await startHttpApp(t, "east", mesh.ip(1, 10)), await startHttpApp(t, "west", mesh.ip(2, 10))];
  const echo = await startEchoApp(t, "echo", mesh.ip(1, 11));
  const [port, echoPort, gatewayPort] = [await mesh.freePort(), await mesh.freePort(), await mesh.freePort()];
  const web = (third: number, withEndpoint = true) =>
    mesh.write(`k8s/c${third}/web.yaml`, [
      service("web", mesh.ip(third, 80), [{ name: "http", port }]),
      ...(withEndpoint
        ? workload("web", {
            name: third === 1 ? "east" : "west",
            ip: mesh.ip(third, 10),
            ports: { http: third === 1 ? east.port : west.port },
          })
        : []),
    ]);
  const virtualService = (mark: string): Promise<number> =>
    mesh.write("istio/web.yaml", [
      istio("VirtualService", "web", {
        hosts: [host, bookshop],
        gateways: ["mesh", "shop"],
        http: [{ route: [{ destination: { host }, headers: { response: { set: { "x-mark": mark } } } }] }],
      }),
    ]);
  const gatewayServers = (...ports: readonly number[]) =>
    mesh.write("istio/gateway.yaml", [
      istio("Gateway", "shop", {
        selector: { istio: "ingress" },
        servers: ports.map((number) => ({ port: { number, name: `http-${number}`, protocol: "HTTP" }, hosts: [bookshop] })),
      }),
    ]);
  const rule = (maxConnections: number) =>
    mesh.write("istio/rule.yaml", [
      istio("DestinationRule", "web", { host, trafficPolicy: { connectionPool: { tcp: { maxConnections } } } }),
    ]);
  await mesh.config({});
  await mesh.write("nodes.yaml", [
    {
      nodes: [
        proxyNode({ name: "client", ip: mesh.ip(1, 5), cluster: "c1" }),
        proxyNode({ name: "late", kind: "router", ip: mesh.ip(9, 2), cluster: "c1", labels: { istio: "ingress" } }),
        proxyNode({ name: "ingress", kind: "router", ip: mesh.ip(9, 1), cluster: "c1", labels: { istio: "ingress" } }),
      ],
    },
  ]);
  await web(1);
  await web(2);
  await mesh.write("k8s/c1/echo.yaml", [
    service("echo", mesh.ip(1, 81), [{ name: "tcp", port: echoPort }]),
    ...workload("echo", { name: "echo", ip: echo.ip, ports: { tcp: echo.port } }),
  ]);
  await virtualService("start");
  await gatewayServers(gatewayPort);
  await rule(1_000);
  const [client, ingress] = await Promise.all([mesh.start("client"), mesh.start("ingress")]);
  const toWeb: Target = { ip: mesh.ip(1, 80), port, host };
  const throughGateway: Target = { ip: mesh.ip(9, 1), port: gatewayPort, host: bookshop };
  return {
    mesh,
    east,
    west,
    client,
    ingress,
    port,
    echoPort,
    toWeb,
    throughGateway,
    web,
    virtualService,
    gatewayServers,
    gatewayPort,
    rule,
  };
}

suite("a change during the start", () => {
  test("that comes after its file was read is not lost", async (t) => {
    const { mesh, toWeb, throughGateway, virtualService } = await startMesh(t);
    let loads = 0;
    const { proxy } = await mesh.start("late", undefined, async () => {
      if (++loads === 1) await virtualService("written during the start");
    });
    const port = (await proxy.listeners())[0]!.addresses[0]!.port;
    const target = { ...throughGateway, ip: mesh.ip(9, 2), port };
    await until("it is live", async () => (await get(target)).headers["x-mark"] === "written during the start");
    assert.equal((await get(toWeb)).status, 200);
  });
});

suite("changes under load", () => {
  test("two hundred changes: each live, no failed request, no connection ended", { timeout: 120_000 }, async (t) => {
    const lab = await startMesh(t);
    const { mesh, east, west, client, ingress, port, toWeb, throughGateway } = lab;
    const long = await Promise.all([1, 2].map(() => openLongLived(t, mesh.ip(1, 81), lab.echoPort)));
    const traffic = [startTraffic(t, toWeb), startTraffic(t, throughGateway)];
    const members = (): number => client.stat(`cluster.outbound|${port}||${host};.membership_total`);
    const times: number[] = [];
    let writes = 0;

    /** Writes, waits until the change shows, and notes how long that took. */
    const change = async (what: string, write: () => Promise<number>, shows: () => boolean | Promise<boolean>): Promise<void> => {
      writes++;
      const writtenMs = await write();
      await until(`${what} is live`, shows, liveMs);
      times.push(performance.now() - writtenMs);
    };
    const marked = (mark: string) => async (): Promise<boolean> =>
      (await Promise.all([get(toWeb), get(throughGateway)])).every(({ headers }) => headers["x-mark"] === mark);

    const kinds: readonly ((round: number) => Promise<void>)[] = [
      (round) =>
        change(
          "a new service",
          () =>
            mesh.write(`k8s/c1/new-${round}.yaml`, [
              service(`new-${round}`, mesh.ip(100, round), [{ name: "http", port }]),
              ...workload(`new-${round}`, { name: `new-${round}`, ip: east.ip, ports: { http: east.port } }),
            ]),
          async () => (await get({ ip: mesh.ip(100, round), port, host: `new-${round}.default.svc.cluster.local` })).status === 200,
        ),
      async (round) => {
        // An endpoint goes or comes; the file of the other cluster in every other round.
        const third = round % 2 === 0 ? 1 : 2;
        const [name, app] = third === 1 ? (["east", east] as const) : (["west", west] as const);
        await change(
          "a removed endpoint",
          () => lab.web(third, false),
          () => members() === 1,
        );
        const goneMs = performance.now();
        const seen = traffic[0]!.answers.length;
        await until("more answers", () => traffic[0]!.answers.length > seen + 10);
        const late = traffic[0]!.answers.filter(({ body, startedMs }) => startedMs > goneMs && body === name);
        assert.deepEqual(late, [], `new requests to the removed endpoint ${app.name}`);
        await change(
          "its return",
          () => lab.web(third),
          () => members() === 2,
        );
      },
      (round) => change("a changed route", () => lab.virtualService(`round ${round}`), marked(`round ${round}`)),
      (round) =>
        change(
          "a service that nobody calls",
          () => mesh.write("k8s/c2/other.yaml", [service("other", mesh.ip(101, round), [{ name: "http", port }], { namespace: "far" })]),
          () => accepts(mesh.ip(101, round), port),
        ),
      (round) => {
        const modified = client.stat("cluster_manager.cluster_modified");
        return change(
          "a rule",
          () => lab.rule(1_001 + round),
          () => client.stat("cluster_manager.cluster_modified") > modified,
        );
      },
      (round) => {
        const extra = lab.gatewayPort + 1 + round;
        return change(
          "another port of the gateway",
          () => lab.gatewayServers(lab.gatewayPort, extra),
          () => accepts(mesh.ip(9, 1), extra),
        );
      },
    ];
    const breakAndRepair = async (round: number): Promise<void> => {
      const named = (): number => client.log.filter((line) => /istio\/web\.yaml/.test(line)).length;
      const before = named();
      await change(
        "a broken file",
        () => mesh.write("istio/web.yaml", "kind: [unfinished\n"),
        () => named() > before,
      );
      assert.equal((await get(toWeb)).status, 200, "what the broken file said before stays in force");
      await change("its repair", () => lab.virtualService(`repaired ${round}`), marked(`repaired ${round}`));
    };

    // One after the other at first, so that each shows alone; then several files at once, as a deployment writes them.
    let round = 1;
    for (const kind of kinds) await kind(round);
    await breakAndRepair(round);
    const alone = times.splice(0);
    while (writes < 200) {
      round++;
      await Promise.all(kinds.map((kind) => kind(round)));
      await breakAndRepair(round);
      for (const [i, each] of long.entries()) await each.echo(`round ${round} of connection ${i}`);
    }
    for (const each of traffic) await each.stop();
    assert.deepEqual(
      traffic.flatMap((each) => each.failures()),
      [],
    );
    assert.deepEqual(
      long.map((each) => each.ended()),
      [undefined, undefined],
    );
    // Two clients each: no keep-alive connection was closed either.
    assert.deepEqual(
      traffic.map(({ answers }) => answers.filter(({ connected }) => connected).length),
      [2, 2],
    );
    for (const proxy of [client, ingress]) assert.equal(proxy.stat("server.worker_restarts"), 0);
    const summary = (list: readonly number[]): string => {
      const sorted = list.toSorted((a, b) => a - b);
      return `median ${sorted[sorted.length >> 1]!.toFixed(0)} ms, longest ${sorted.at(-1)!.toFixed(0)} ms`;
    };
    const requests = traffic.reduce((sum, { answers }) => sum + answers.length, 0);
    t.diagnostic(`${writes} changes, live after: alone ${summary(alone)}; together ${summary(times)}; ${requests} requests, 0 failed`);
  });
});
