// Istio's standard metrics at both ends of a call from sidecar to sidecar: HTTP and TCP, with mTLS and in plaintext.
import assert from "node:assert/strict";
import { once } from "node:events";
import { type IncomingMessage, request as send } from "node:http";
import { connect } from "node:net";
import { suite, test, type TestContext } from "node:test";
import { type Respond, startEchoApp, startHttpApp } from "../../support/mesh/apps.ts";
import { createMesh, type MeshProxy } from "../../support/mesh/mesh.ts";
import { proxyNode, service, takesMutualTls, workload, type WorkloadSpec } from "../../support/mesh/objects.ts";
import { get } from "../../support/mesh/traffic.ts";
import { until } from "../../support/mesh/until.ts";

const host = "web.default.svc.cluster.local";
const spiffe = (account: string): string => `spiffe://cluster.local/ns/default/sa/${account}`;

/** One gRPC message. */
const message = (length: number): Buffer => Buffer.concat([Buffer.from([0, 0, 0, 0, length]), Buffer.alloc(length)]);

/** What it is sent, and one message more, where it is called by gRPC. */
const answer: Respond = (request, response) => {
  if (request.headers["content-type"] !== "application/grpc") return void response.end("web");
  response.writeHead(200, { "content-type": "application/grpc", "grpc-status": "0" });
  request.on("data", (bytes) => response.write(bytes)).on("end", () => response.end(message(7)));
};

/** A client and a server, each with its sidecar. */
async function startPair(t: TestContext) {
  const mesh = await createMesh(t);
  const app = await startHttpApp(t, "web", "127.0.0.1", answer);
  const echo = await startEchoApp(t, "echo", "127.0.0.1");
  const [port, echoPort] = [await mesh.freePort(), await mesh.freePort()];
  const web: WorkloadSpec = { name: "web", ip: mesh.ip(1, 20), ports: { http: app.port, tcp: echo.port }, mutualTls: true };
  await mesh.config({});
  await mesh.write("nodes.yaml", [
    {
      nodes: [
        proxyNode({ name: "client", ip: mesh.ip(1, 5), cluster: "c1", labels: { app: "client", version: "v1" } }),
        proxyNode({ name: "web", ip: mesh.ip(1, 20), cluster: "c1", labels: { app: "web", ...takesMutualTls } }),
      ],
    },
  ]);
  await mesh.write("k8s/c1/web.yaml", [
    service("web", mesh.ip(1, 80), [
      { name: "http", port, targetPort: app.port },
      { name: "tcp", port: echoPort, targetPort: echo.port },
    ]),
    ...workload("web", web),
  ]);
  const [client, server] = await Promise.all([
    mesh.start("client", { cluster: "c1", serviceAccount: "client" }),
    mesh.start("web", { cluster: "c1", serviceAccount: "web" }),
  ]);
  return { client, server, service: { ip: mesh.ip(1, 80), port, echoPort }, pod: { ip: web.ip, port: app.port } };
}

/** The series of a metric at a proxy: labels and value. */
function seriesOf({ proxy }: MeshProxy, metric: string): readonly Readonly<Record<string, string>>[] {
  return proxy
    .prometheus()
    .split("\n")
    .filter((line) => line.startsWith(`${metric}{`))
    .map((line) => ({
      ...Object.fromEntries([...line.matchAll(/([a-z_]+)="([^"]*)"/g)].map(([, name, value]) => [name, value])),
      value: line.slice(line.lastIndexOf(" ") + 1),
    }));
}

/** Waits for the one series of a metric, and checks some of it. */
async function one(proxy: MeshProxy, metric: string, expected: Readonly<Record<string, string>>): Promise<void> {
  await until(`${metric} is there`, () => seriesOf(proxy, metric).length > 0);
  const found = seriesOf(proxy, metric);
  assert.equal(found.length, 1, JSON.stringify(found));
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((name) => [name, found[0]?.[name]])), expected, metric);
}

const atSource = {
  reporter: "source",
  source_workload: "client",
  source_workload_namespace: "default",
  source_principal: spiffe("client"),
  source_app: "client",
  source_version: "v1",
  source_cluster: "c1",
  destination_workload: "web",
  destination_workload_namespace: "default",
  destination_principal: spiffe("web"),
  destination_canonical_service: "web",
  destination_service: host,
  destination_service_name: "web",
  destination_service_namespace: "default",
  destination_cluster: "c1",
  connection_security_policy: "unknown",
};
const atDestination = {
  reporter: "destination",
  source_workload: "unknown",
  source_workload_namespace: "default",
  source_principal: spiffe("client"),
  destination_workload: "web",
  destination_app: "web",
  destination_principal: spiffe("web"),
  destination_service: host,
  destination_service_name: "web",
  connection_security_policy: "mutual_tls",
};

suite("Istio's metrics", () => {
  test("of an HTTP request, with mTLS between the sidecars", async (t) => {
    const { client, server, service: target } = await startPair(t);
    assert.equal((await get({ ip: target.ip, port: target.port, host })).status, 200);
    const request = { request_protocol: "http", response_code: "200", response_flags: "-", grpc_response_status: "", value: "1" };
    await one(client, "istio_requests_total", { ...atSource, ...request });
    await one(server, "istio_requests_total", { ...atDestination, ...request });
    await one(server, "istio_request_duration_milliseconds_count", { ...atDestination, value: "1" });
    await one(server, "istio_request_bytes_sum", { ...atDestination, value: "0" });
    await one(server, "istio_response_bytes_sum", { ...atDestination, value: "3" });
    assert.match(server.proxy.prometheus(), /^# TYPE istio_requests_total counter$/m);
    assert.match(server.proxy.prometheus(), /^# TYPE istio_request_duration_milliseconds histogram$/m);
  });

  test("of a gRPC call: its status, and the messages both ways; other requests have none", async (t) => {
    const { client, server, service: target } = await startPair(t);
    assert.equal((await get({ ip: target.ip, port: target.port, host })).status, 200);
    const call = send({
      host: target.ip,
      port: target.port,
      method: "POST",
      headers: { host, "content-type": "application/grpc" },
      agent: false,
      timeout: 10_000,
    });
    call.write(message(3).subarray(0, 2));
    call.write(Buffer.concat([message(3).subarray(2), message(0)]));
    call.end(message(200));
    const [response] = (await once(call, "response")) as [IncomingMessage];
    await once(response.resume(), "end");
    for (const [proxy, end] of [
      [client, atSource],
      [server, atDestination],
    ] as const) {
      const labels = { ...end, request_protocol: "grpc", grpc_response_status: "0" };
      await one(proxy, "istio_request_messages_total", { ...labels, value: "3" });
      await one(proxy, "istio_response_messages_total", { ...labels, value: "4" });
    }
  });

  test("of a request in plaintext, and of one that nobody answers", async (t) => {
    const { client, server, pod, service: target } = await startPair(t);
    assert.equal((await get({ ...pod, host })).status, 200);
    await one(server, "istio_requests_total", { source_principal: "unknown", connection_security_policy: "none", response_code: "200" });
    await server.proxy.stop();
    assert.equal((await get({ ip: target.ip, port: target.port, host })).status, 503);
    await one(client, "istio_requests_total", { destination_service: host, response_code: "503", response_flags: "UF,URX" });
  });

  test("of a TCP connection, open and closed", async (t) => {
    const { client, server, service: target } = await startPair(t);
    const socket = connect({ host: target.ip, port: target.echoPort });
    t.after(() => socket.destroy());
    socket.write("hello");
    await once(socket, "data");
    const tcp = { request_protocol: "tcp", response_flags: "-" };
    await one(client, "istio_tcp_connections_opened_total", { ...atSource, ...tcp, value: "1" });
    await one(server, "istio_tcp_connections_opened_total", { ...atDestination, ...tcp, value: "1" });
    await one(server, "istio_tcp_connections_closed_total", { value: "0" });
    socket.end();
    await once(socket, "close");
    const closed = (proxy: MeshProxy): boolean => seriesOf(proxy, "istio_tcp_connections_closed_total")[0]?.["value"] === "1";
    await until("both ends count it as closed", () => closed(client) && closed(server));
    for (const metric of ["istio_tcp_received_bytes_total", "istio_tcp_sent_bytes_total"]) {
      const at = seriesOf(server, metric)[0];
      assert.equal(at?.["source_principal"], spiffe("client"));
      assert.ok(Number(at?.["value"]) >= 5, `${metric} ${at?.["value"]}`);
    }
  });
});
