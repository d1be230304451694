// TCP services that have nothing but a name: one port, told apart by the address that the proxy's DNS gives for each.
import assert from "node:assert/strict";
import { Resolver } from "node:dns/promises";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import net from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import type { Proxy } from "../../../src/proxy.ts";
import { ownNetwork, startMeshProxy, writeMesh } from "../../support/mesh-proxy.ts";

/** A server that says its name and hangs up. */
async function startGreeter(t: TestContext, name: string): Promise<number> {
  const server = net.createServer((socket) => socket.on("error", () => undefined).end(name));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => void server.close());
  return (server.address() as AddressInfo).port;
}

const entry = (host: string, port: number, protocol: string, endpoints: readonly number[]): string => `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ${host}, namespace: foo}
spec:
  hosts: [${host}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: ${port}, name: tcp, protocol: ${protocol}}]
  endpoints: [${endpoints.map((each) => `{address: 127.0.0.1, ports: {tcp: ${each}}}`).join(", ")}]
`;

async function greeting(address: string, port: number): Promise<string> {
  const socket = net.connect({ host: address, port, timeout: 5000 });
  socket.once("timeout", () => socket.destroy(new Error(`${address}:${port} says nothing`)));
  let text = "";
  for await (const chunk of socket) text += String(chunk);
  return text;
}

async function startSidecar(
  t: TestContext,
  files: Readonly<Record<string, string>>,
): Promise<{ readonly proxy: Proxy; readonly mesh: string }> {
  const network = ownNetwork();
  const mesh = await writeMesh(t, {
    "meshconfig.yaml": `defaultConfig: {proxyMetadata: {PILOT_IP_AUTOALLOCATE_IPV4_PREFIX: "10.0.0.0/8"}}\n`,
    "nodes.yaml": `nodes:
- name: sleep
  id: sidecar~${network}.10~sleep.foo~foo.svc.cluster.local
  metadata: {CLUSTER_ID: one, NAMESPACE: foo, INSTANCE_IPS: ${network}.10, INTERCEPTION_MODE: NONE, DNS_CAPTURE: "true"}
`,
    ...files,
  });
  // Nothing is redirected here, so the addresses have to be ones that this machine can bind.
  const environment = { PILOT_IP_AUTOALLOCATE_IPV4_PREFIX: `${network}.0/24` };
  return { proxy: await startMeshProxy(t, { mesh, node: "sleep", environment, watch: true }), mesh };
}

function resolverOf(proxy: Proxy): (host: string) => Promise<string> {
  const resolver = new Resolver({ timeout: 2000, tries: 2 });
  resolver.setServers([`${proxy.dns?.address ?? ""}:${proxy.dns?.port ?? 0}`]);
  return async (host) => {
    const [address = ""] = await resolver.resolve4(host);
    return address;
  };
}

suite("TCP services without addresses", () => {
  test("on one port are told apart, and stay where they are when another one comes", { timeout: 60_000 }, async (t) => {
    const [a, b, c] = [await startGreeter(t, "a"), await startGreeter(t, "b"), await startGreeter(t, "c")];
    const { proxy, mesh } = await startSidecar(t, {
      "istio/a.yaml": entry("db-a.internal", 3306, "TCP", [a]),
      "istio/b.yaml": entry("db-b.internal", 3306, "TCP", [b]),
    });
    const resolve = resolverOf(proxy);
    const [atA, atB] = [await resolve("db-a.internal"), await resolve("db-b.internal")];
    assert.notEqual(atA, atB);
    assert.deepEqual([await greeting(atA, 3306), await greeting(atB, 3306)], ["a", "b"]);

    await writeFile(join(mesh, "istio/c.yaml"), entry("db-c.internal", 3306, "TCP", [c]));
    assert.equal(await proxy.reload(), true);
    const atC = await resolve("db-c.internal");
    assert.deepEqual([await resolve("db-a.internal"), await resolve("db-b.internal")], [atA, atB]);
    assert.deepEqual([await greeting(atA, 3306), await greeting(atB, 3306), await greeting(atC, 3306)], ["a", "b", "c"]);
  });

  test("are balanced over their endpoints", { timeout: 60_000 }, async (t) => {
    const ports = [await startGreeter(t, "2.2.2.2"), await startGreeter(t, "3.3.3.3")];
    const { proxy } = await startSidecar(t, { "istio/mongo.yaml": entry("mymongodb.somedomain", 27_018, "MONGO", ports) });
    const address = await resolverOf(proxy)("mymongodb.somedomain");
    const seen = new Map<string, number>();
    for (let call = 0; call < 60; call++) {
      const name = await greeting(address, 27_018);
      seen.set(name, (seen.get(name) ?? 0) + 1);
    }
    assert.deepEqual([...seen.keys()].toSorted(), ["2.2.2.2", "3.3.3.3"]);
    // Fair coins fall below a sixth in 60 throws less than once in ten million.
    for (const [name, count] of seen) assert.ok(count >= 10, `${name} was called ${count} times of 60`);
  });
});
