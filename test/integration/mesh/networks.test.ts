// Two networks: what is remote is reached through the other network's east-west gateway, with mTLS from sidecar to sidecar.
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { startEchoApp, startHttpApp, type App, type Respond } from "../../support/mesh/apps.ts";
import { createMesh } from "../../support/mesh/mesh.ts";
import { istio, proxyNode, service, takesMutualTls, workload, type WorkloadSpec } from "../../support/mesh/objects.ts";
import { accepts, get, getMany, openLongLived, startTraffic, tally } from "../../support/mesh/traffic.ts";
import { until } from "../../support/mesh/until.ts";

const host = "web.default.svc.cluster.local";
const loopback = "127.0.0.1";

/** Shows what reached the application. */
const showPeer: (name: string) => Respond = (name) => (request, response) => {
  response.end(`${name} ${String(request.headers["x-forwarded-client-cert"] ?? "-")}`);
};

/** A client and one plain endpoint in network n1; two endpoints with sidecars behind the gateway of network n2. */
async function startTwoNetworks(t: TestContext, respond: (name: string) => Respond | undefined, policy: object = {}) {
  const mesh = await createMesh(t);
  const [near, a, b] = [
    await startHttpApp(t, "near", mesh.ip(1, 10), respond("near")),
    // Behind its sidecar an application listens on loopback.
    await startHttpApp(t, "a", loopback, respond("a")),
    await startHttpApp(t, "b", loopback, respond("b")),
  ];
  const echo = await startEchoApp(t, "echo", loopback);
  const [port, echoPort, gatewayPort] = [await mesh.freePort(), await mesh.freePort(), await mesh.freePort()];
  const remote = (name: string, app: App, last: number): WorkloadSpec => ({
    name,
    ip: mesh.ip(2, last),
    ports: { http: app.port },
    mutualTls: true,
  });
  const web = (third: number) => service("web", mesh.ip(third, 80), [{ name: "http", port, targetPort: "http" }]);
  const echoService = [
    service("echo", mesh.ip(2, 81), [{ name: "tcp", port: echoPort, targetPort: echo.port }], { spec: { selector: { app: "web" } } }),
    ...workload("echo", { name: "a", ip: mesh.ip(2, 20), ports: { tcp: echo.port }, mutualTls: true }).slice(1),
  ];
  const cluster2 = [web(2), ...workload("web", remote("a", a, 20)), ...workload("web", remote("b", b, 21))];
  const sidecar = (name: string, last: number) =>
    proxyNode({
      name,
      ip: mesh.ip(2, last),
      cluster: "c2",
      network: "n2",
      labels: { app: "web", ...takesMutualTls },
      metadata: { SERVICE_ACCOUNT: "web" },
    });
  await mesh.config({});
  await mesh.write("networks.yaml", [
    {
      networks: {
        n1: { endpoints: [{ fromRegistry: "c1" }], gateways: [{ address: mesh.ip(9, 1), port: gatewayPort }] },
        n2: { endpoints: [{ fromRegistry: "c2" }], gateways: [{ address: mesh.ip(9, 2), port: gatewayPort }] },
      },
    },
  ]);
  await mesh.write("nodes.yaml", [
    {
      nodes: [
        proxyNode({ name: "client", ip: mesh.ip(1, 5), cluster: "c1", network: "n1" }),
        sidecar("a", 20),
        sidecar("b", 21),
        proxyNode({
          name: "gateway",
          kind: "router",
          ip: mesh.ip(9, 2),
          cluster: "c2",
          network: "n2",
          labels: { istio: "eastwest" },
          metadata: { ROUTER_MODE: "sni-dnat", REQUESTED_NETWORK_VIEW: "n2" },
        }),
      ],
    },
  ]);
  await mesh.write("k8s/c1/web.yaml", [web(1), ...workload("web", { name: "near", ip: near.ip, ports: { http: near.port } })]);
  await mesh.write("k8s/c2/web.yaml", cluster2);
  await mesh.write("k8s/c2/echo.yaml", echoService);
  await mesh.write("istio/gateway.yaml", [
    istio("Gateway", "eastwest", {
      selector: { istio: "eastwest" },
      servers: [{ port: { number: gatewayPort, name: "tls", protocol: "TLS" }, tls: { mode: "AUTO_PASSTHROUGH" }, hosts: ["*.local"] }],
    }),
  ]);
  const rule = (trafficPolicy: object) =>
    mesh.write("istio/rule.yaml", [istio("DestinationRule", "web", { host, trafficPolicy: trafficPolicy as never })]);
  await rule({ loadBalancer: { simple: "ROUND_ROBIN" }, ...policy });
  const identity = { cluster: "c2", serviceAccount: "web" };
  const [client, gateway] = await Promise.all([
    mesh.start("client", { cluster: "c1", serviceAccount: "client" }),
    mesh.start("gateway", { cluster: "c2", serviceAccount: "gateway" }),
    mesh.start("a", identity),
    mesh.start("b", identity),
  ]);
  const nearGone = () => mesh.write("k8s/c1/web.yaml", [web(1)]);
  const members = () => client.stat(`cluster.outbound|${port}||${host};.membership_total`);
  const target = { ip: mesh.ip(1, 80), port, host };
  return { mesh, client, gateway, near, nearGone, members, web, remote, a, b, cluster2, echoService, target, echoPort, gatewayPort, rule };
}

suite("two networks", () => {
  test("remote endpoints are one gateway that carries their weight, with mTLS from end to end", async (t) => {
    const { mesh, target, gateway, gatewayPort, members, web, remote, a, b } = await startTwoNetworks(t, showPeer, {
      // A connection through the gateway stays with the workload that it reached first, so each request gets one of its own.
      connectionPool: { http: { maxRequestsPerConnection: 1 } },
    });
    assert.equal(members(), 2, "the near endpoint and the gateway");
    const answers = await getMany(90, target);
    const names = tally(answers.map((answer) => ({ ...answer, body: answer.body.split(" ")[0] ?? "" })));
    // One near endpoint against two behind the gateway, which itself takes turns over them.
    assert.equal(names["near"], 30, JSON.stringify(names));
    assert.equal(names["a"]! + names["b"]!, 60, JSON.stringify(names));
    assert.ok(names["a"]! > 10 && names["b"]! > 10, JSON.stringify(names));
    for (const { body } of answers.filter((answer) => !answer.body.startsWith("near"))) {
      assert.match(
        body,
        /URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/client$/,
        "the workload sees who called, the gateway changed nothing",
      );
    }
    const sni = `outbound_.${target.port}_._.${host}`;
    const crossings = await mesh.logged(({ cluster }) => cluster === sni);
    assert.ok(
      crossings.every(({ status, flags }) => status === 0 && flags === "-"),
      "a record of bytes without requests",
    );
    assert.equal(gateway.stat(`cluster.${sni};.upstream_cx_total`), 60, "one connection a request, as the rule asks for");
    const [sent] = await mesh.logged(({ host: upstream }) => upstream === `${mesh.ip(9, 2)}:${gatewayPort}`);
    assert.equal(sent?.status, 200);

    // An endpoint that takes no mTLS cannot be told apart behind the gateway: its weight is gone.
    await mesh.write("k8s/c2/web.yaml", [
      web(2),
      ...workload("web", remote("a", a, 20)),
      ...workload("web", { ...remote("b", b, 21), mutualTls: false }),
    ]);
    await until("both have one share", async () => {
      const bodies = (await getMany(10, target)).map(({ body }) => body.split(" ")[0]);
      return bodies.filter((body) => body === "near").length === 5 && !bodies.includes("b");
    });
    assert.equal(members(), 2);
  });

  test("failing workloads behind a gateway do not take the last way to its network away", async (t) => {
    const sick = (name: string): Respond | undefined => (name === "a" ? (_, response) => response.writeHead(500).end("sick") : undefined);
    const outlierDetection = { consecutive5xxErrors: 2, interval: "1s", baseEjectionTime: "60s", maxEjectionPercent: 100 };
    const { target, nearGone, members, client } = await startTwoNetworks(t, sick, { outlierDetection });
    await nearGone();
    await until("the gateway is all there is", () => members() === 1);
    const answers = (await Promise.all([20, 20, 20, 20].map((count) => getMany(count, target)))).flat();
    const counts = tally(answers);
    assert.deepEqual(Object.keys(counts).toSorted(), ["500 sick", "b"], JSON.stringify(counts));
    const outliers = `cluster.outbound|${target.port}||${host};.outlier_detection.`;
    assert.ok(client.stat(`${outliers}ejections_detected_consecutive_5xx`) > 0, "it was seen to fail");
    assert.equal(client.stat(`${outliers}ejections_active`), 0);
  });

  test("long-lived connections outlive changes that do not concern them, and the removal of their own listener", async (t) => {
    const { mesh, echoPort, echoService, target, cluster2, rule, gateway, gatewayPort, web } = await startTwoNetworks(t, () => undefined);
    const address = mesh.ip(2, 81);
    const long = await openLongLived(t, address, echoPort);
    await long.echo("first");
    const traffic = startTraffic(t, target);

    const live = async (what: string, write: Promise<unknown>, condition: () => boolean | Promise<boolean>): Promise<void> => {
      await write;
      await until(`${what} is live`, condition);
      await long.echo(`after ${what}`);
    };
    const extra = service("extra", mesh.ip(1, 90), [{ name: "http", port: target.port }]);
    const modified = () => gateway.stat("cluster_manager.cluster_added");
    const before = modified();
    await live("another service", mesh.write("k8s/c1/extra.yaml", [extra]), async () => {
      const { status } = await get({ ...target, ip: mesh.ip(1, 90), host: "extra.default.svc.cluster.local" });
      return status === 503 && modified() > before;
    });
    const changes = gateway.stat("cluster_manager.cluster_modified");
    await live(
      "another service's rule",
      rule({ loadBalancer: { simple: "RANDOM" }, connectionPool: { tcp: { maxConnections: 99 } } }),
      () => {
        return gateway.stat("cluster_manager.cluster_modified") > changes;
      },
    );
    const reloads = gateway.stat("server.config_reload_success");
    await live("another endpoint's end", mesh.write("k8s/c2/web.yaml", cluster2.slice(0, -1)), () => {
      return gateway.stat("server.config_reload_success") > reloads;
    });
    await live("a service renamed on the gateway's port", mesh.write("k8s/c1/extra.yaml", [web(1), extra]), () => true);

    // Its own service goes: no new connection, the old one goes on.
    await live("the end of its service", mesh.remove("k8s/c2/echo.yaml"), async () => !(await accepts(address, echoPort)));
    await until("the gateway has no chain for it", async () => !(await accepts(address, echoPort)));
    await long.echo("still there");
    assert.equal(long.ended(), undefined);
    assert.ok(await accepts(mesh.ip(9, 2), gatewayPort), "the gateway serves the others");

    await live("its return", mesh.write("k8s/c2/echo.yaml", echoService), async () => {
      if (!(await accepts(address, echoPort))) return false;
      const fresh = await openLongLived(t, address, echoPort);
      return fresh.echo("new").then(
        () => true,
        () => false,
      );
    });
    await long.echo("last");
    await traffic.stop();
    assert.deepEqual(traffic.failures(), []);
  });
});
