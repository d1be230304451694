// What stands in front of a gateway: whose x-forwarded-for and PROXY header name the client that address policies are about.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { suite, test, type TestContext } from "node:test";
import { startHttpApp } from "../../support/mesh/apps.ts";
import { createMesh } from "../../support/mesh/mesh.ts";
import { istio, proxyNode } from "../../support/mesh/objects.ts";

const host = "shop.example";
const denied = { remoteIpBlocks: ["10.9.0.0/16"] };
const deniedPeer = { ipBlocks: ["10.8.0.0/16"] };

async function startGateway(t: TestContext, gatewayTopology: object) {
  const mesh = await createMesh(t);
  const app = await startHttpApp(t, "app", mesh.ip(1, 10));
  const port = await mesh.freePort();
  await mesh.config({ defaultConfig: { gatewayTopology } });
  await mesh.write("nodes.yaml", [
    { nodes: [proxyNode({ name: "edge", kind: "router", ip: mesh.ip(9, 1), cluster: "c1", labels: { app: "edge" } })] },
  ]);
  await mesh.write("istio/edge.yaml", [
    istio("Gateway", "edge", {
      selector: { app: "edge" },
      servers: [{ port: { number: port, name: "http", protocol: "HTTP" }, hosts: [host] }],
    }),
    istio("VirtualService", "edge", { hosts: [host], gateways: ["edge"], http: [{ route: [{ destination: { host: "app.example" } }] }] }),
    istio("ServiceEntry", "app", {
      hosts: ["app.example"],
      resolution: "STATIC",
      ports: [{ number: 80, name: "http", protocol: "HTTP", targetPort: app.port }],
      endpoints: [{ address: app.ip }],
    }),
    {
      apiVersion: "security.istio.io/v1",
      kind: "AuthorizationPolicy",
      metadata: { name: "edge", namespace: "default" },
      spec: { action: "DENY", rules: [{ from: [{ source: denied }] }, { from: [{ source: deniedPeer }] }] },
    },
  ]);
  await mesh.start("edge");
  /** The status of a request; 0 when the connection was closed without an answer. */
  return (forwardedFor: string, preface = ""): Promise<number> =>
    new Promise((resolve, reject) => {
      const socket = connect({ host: mesh.ip(9, 1), port, timeout: 10_000 });
      let received = "";
      socket.on("data", (chunk) => (received += chunk.toString("latin1")));
      socket.on("timeout", () => socket.destroy(new Error("no answer in time")));
      socket.on("error", (error: NodeJS.ErrnoException) => (error.code === "ECONNRESET" ? resolve(0) : reject(error)));
      socket.on("close", () => resolve(received === "" ? 0 : Number(received.slice(9, 12))));
      const field = forwardedFor === "" ? "" : `x-forwarded-for: ${forwardedFor}\r\n`;
      socket.write(`${preface}GET / HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n${field}\r\n`);
    });
}

suite("gatewayTopology", () => {
  const cases: readonly (readonly [title: string, trusted: number, forwardedFor: string, status: number])[] = [
    ["nobody in front: what the client says of itself does not count", 0, "10.9.0.5", 200],
    ["one proxy: the last entry is its client", 1, "10.9.0.5", 403],
    ["one proxy: an entry before the last is the client's own word", 1, "10.9.0.5, 1.1.1.1", 200],
    ["two proxies: the last but one is their client", 2, "10.9.0.5, 1.1.1.1", 403],
    ["two proxies: fewer entries than proxies name nobody", 2, "10.9.0.5", 200],
    ["one proxy: without the header it is the peer", 1, "", 200],
  ];
  for (const numTrustedProxies of [0, 1, 2])
    test(`numTrustedProxies ${numTrustedProxies}`, { timeout: 30_000 }, async (t) => {
      const ask = await startGateway(t, { numTrustedProxies });
      for (const [title, trusted, forwardedFor, status] of cases)
        if (trusted === numTrustedProxies) assert.equal(await ask(forwardedFor), status, title);
    });

  test("proxyProtocol: the client is whom the PROXY header names, and without one nobody is served", { timeout: 30_000 }, async (t) => {
    const ask = await startGateway(t, { proxyProtocol: {} });
    assert.equal(await ask("", "PROXY TCP4 10.9.0.7 10.0.0.1 4000 80\r\n"), 403);
    // Who is connected in fact (ipBlocks) is the proxy in front all the same.
    assert.equal(await ask("", "PROXY TCP4 10.8.0.7 10.0.0.1 4000 80\r\n"), 200);
    assert.equal(await ask("", "PROXY TCP4 10.7.0.7 10.0.0.1 4000 80\r\n"), 200);
    assert.equal(await ask("10.9.0.5", "PROXY TCP4 10.7.0.7 10.0.0.1 4000 80\r\n"), 200);
    assert.equal(await ask(""), 0);
  });
});
