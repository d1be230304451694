// gRPC from sidecar to sidecar with mTLS, both started from one mesh directory: unmodified grpc-js programs, all four kinds of
// calls, cancellation, deadlines, and long streams both ways.
import assert from "node:assert/strict";
import { after, before, suite, test, type TestContext } from "node:test";
import { Metadata, status, type Client } from "@grpc/grpc-js";
import { chat, collect, echoService, same, spread, startGrpcApp, startGrpcClient, unary, type Seen } from "../../support/grpc-app.ts";
import { createMesh, type MeshProxy, type TestMesh } from "../../support/mesh/mesh.ts";
import { istio, proxyNode, service, takesMutualTls, workload } from "../../support/mesh/objects.ts";

const host = "echo.default.svc.cluster.local";
const megabyte = 1_000_000;

interface Pair {
  readonly mesh: TestMesh;
  readonly client: Client;
  readonly seen: Seen;
  readonly caller: MeshProxy;
  readonly called: MeshProxy;
  readonly port: number;
}

/** A caller and the application, each with its sidecar; nothing but mTLS is taken. */
async function startPair(t: TestContext): Promise<Pair> {
  const mesh = await createMesh(t);
  const app = await startGrpcApp(t);
  const port = await mesh.freePort();
  await mesh.config({});
  await mesh.write("nodes.yaml", [
    {
      nodes: [
        proxyNode({ name: "caller", ip: mesh.ip(1, 5), cluster: "c1", labels: { app: "caller" } }),
        proxyNode({ name: "echo", ip: mesh.ip(1, 20), cluster: "c1", labels: { app: "echo", ...takesMutualTls } }),
      ],
    },
  ]);
  await mesh.write("k8s/c1/echo.yaml", [
    service("echo", mesh.ip(1, 80), [{ name: "grpc", port, targetPort: app.port }]),
    ...workload("echo", { name: "echo", ip: mesh.ip(1, 20), ports: { grpc: app.port }, mutualTls: true }),
  ]);
  await mesh.write("istio/strict.yaml", [
    {
      apiVersion: "security.istio.io/v1",
      kind: "PeerAuthentication",
      metadata: { name: "default", namespace: "default" },
      spec: { mtls: { mode: "STRICT" } },
    },
    istio("VirtualService", "echo", { hosts: [host], http: [{ route: [{ destination: { host } }] }] }),
  ]);
  const [caller, called] = await Promise.all([
    mesh.start("caller", { cluster: "c1", serviceAccount: "caller" }),
    mesh.start("echo", { cluster: "c1", serviceAccount: "echo" }),
  ]);
  return { mesh, client: startGrpcClient(t, `${mesh.ip(1, 80)}:${port}`), seen: app.seen, caller, called, port };
}

suite("gRPC between two sidecars of a mesh", { timeout: 180_000 }, () => {
  const ends: (() => Promise<void> | void)[] = [];
  let pair: Pair;
  before(async () => {
    pair = await startPair({ after: (end: () => Promise<void> | void) => ends.push(end) } as unknown as TestContext);
  });
  after(async () => {
    for (const end of ends.toReversed()) await end();
  });

  test("unary, with metadata and trailers; the other side is known by its certificate", async () => {
    const { client, seen, caller, called, mesh, port } = pair;
    const metadata = new Metadata();
    metadata.set("x-mine", "1");
    assert.deepEqual(await unary(client, "hello", {}, metadata), { code: status.OK, details: "OK", value: "hello", trailer: "kept" });
    assert.deepEqual(seen.metadata.at(-1)!.get("x-mine"), ["1"]);
    assert.equal(caller.stat(`cluster.outbound|${port}||${host};.upstream_cx_http2_total`), 1);
    assert.equal(caller.stat(`cluster.outbound|${port}||${host};.ssl.handshake`), 1);
    assert.match(
      called.proxy.prometheus(),
      /^istio_requests_total\{.*request_protocol="grpc".*grpc_response_status="0".*security_policy="mutual_tls".*\} 1$/m,
    );
    const [record] = await mesh.logged(({ peer }) => peer !== null);
    assert.deepEqual(
      [record?.peer, record?.path, record?.status],
      ["spiffe://cluster.local/ns/default/sa/caller", echoService.unary.path, 200],
    );
  });

  test("a failing call keeps its status, message and trailers", async () => {
    const { code, details, trailer } = await unary(pair.client, `fail ${status.NOT_FOUND}`);
    assert.deepEqual([code, details, trailer], [status.NOT_FOUND, "as asked \u00e9", "kept"]);
  });

  test("bidirectional streaming, message by message", async () => {
    assert.equal(await chat(pair.client, 20), status.OK);
  });

  test("100 MB streamed from the client", async () => {
    assert.equal(await collect(pair.client, Buffer.alloc(megabyte, "isthmus "), 100), 100 * megabyte);
  });

  test("100 MB streamed from the server", async () => {
    assert.equal(await spread(pair.client, megabyte, 100), 100 * megabyte);
  });

  test("cancellation reaches the server", async () => {
    const { client, seen } = pair;
    const call = client.makeServerStreamRequest(echoService.spread.path, same, same, Buffer.from("1000 1000000"));
    call.on("error", () => undefined);
    call.once("data", () => call.cancel());
    await seen.cancelled();
  });

  test("a deadline ends the call on both sides", async () => {
    const { client, seen } = pair;
    assert.equal((await unary(client, "never", { deadline: Date.now() + 300 })).code, status.DEADLINE_EXCEEDED);
    await seen.cancelled();
  });

  test("a hundred calls at once share one connection", async () => {
    const { client, caller, port } = pair;
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => unary(client, `m${i}`)));
    answers.forEach(({ value }, i) => assert.equal(value, `m${i}`));
    assert.equal(caller.stat(`cluster.outbound|${port}||${host};.upstream_cx_http2_total`), 1);
  });
});
