// A mesh that goes by more than one trust domain: who is served by a sidecar that takes nothing but mTLS.
import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:https";
import { createServer as createHttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { suite, test, type TestContext } from "node:test";
import { peerAuthentication, sidecarAddress, startBoundProxy, type BoundMesh } from "../../support/bound-mesh.ts";
import { makeCa } from "../../support/certs.ts";

const ca = makeCa("mesh");

async function startSidecar(t: TestContext, subnet: string, meshConfig: string): Promise<(identity: string) => Promise<number>> {
  const application = createHttpServer((_, response) => response.end("app")).listen(0, "127.0.0.1");
  await once(application, "listening");
  t.after(() => void application.close());
  const { port } = application.address() as AddressInfo;
  const policies = [peerAuthentication("mesh", "istio-system", "{mtls: {mode: STRICT}}")];
  const mesh: BoundMesh = { subnet, ports: [{ name: "http", port }], policies, meshConfig };
  await startBoundProxy(t, mesh, "httpbin", ca);
  return (identity) =>
    new Promise((resolve) => {
      const { chain, key } = ca.issue({ uri: [identity] });
      // The names of a mesh's servers are URIs, which this client does not look at.
      const options = {
        host: sidecarAddress(mesh),
        port,
        cert: chain,
        key,
        ca: ca.cert,
        checkServerIdentity: () => undefined,
        ALPNProtocols: ["istio-http/1.1"],
        agent: false as const,
      };
      const asked = request(options);
      asked.on("response", (response) => resolve(response.resume().statusCode ?? 0));
      asked.on("error", () => resolve(0));
      asked.end();
    });
}

const account = (trustDomain: string): string => `spiffe://${trustDomain}/ns/default/sa/sleep`;

suite("trust domains", { timeout: 30_000 }, () => {
  test("aliases are the mesh's own: workloads of either are served, others are not", async (t) => {
    const ask = await startSidecar(t, "127.89.1", "trustDomain: new.example\ntrustDomainAliases: [old.example]\n");
    const served = { [account("new.example")]: 200, [account("old.example")]: 200, [account("other.example")]: 0 };
    for (const [identity, status] of Object.entries(served)) assert.equal(await ask(identity), status, identity);
    assert.equal(await ask(account("old.example.evil")), 0);
    assert.equal(await ask("spiffe://old.examplex/ns/default/sa/sleep"), 0);
  });

  test("without aliases there is one", async (t) => {
    const ask = await startSidecar(t, "127.89.2", "trustDomain: new.example\n");
    assert.equal(await ask(account("new.example")), 200);
    assert.equal(await ask(account("old.example")), 0);
  });
});
