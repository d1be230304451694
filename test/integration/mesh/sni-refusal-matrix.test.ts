// An east-west gateway in front of a sidecar, both translated from one mesh directory: a client without a certificate of the mesh is
// refused whatever it writes into its ClientHello, under every mode of PeerAuthentication, and each refusal is told apart.
import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { connect as tlsConnect } from "node:tls";
import { sniRefusals } from "../../../src/filter/sni-refusal.ts";
import { boundHost, boundIdentity, gatewayAddress, peerAuthentication, sidecarAddress, startBoundProxy } from "../../support/bound-mesh.ts";
import type { BoundMesh, BoundProxy } from "../../support/bound-mesh.ts";
import { makeCa } from "../../support/certs.ts";
import { handshake, meshAlpn, protocolSets, serverNameForms } from "../../support/sni-matrix.ts";
import { closedPort, serve } from "../../support/tcp.ts";

const ca = makeCa("mesh");
const modes = ["STRICT", "PERMISSIVE", "DISABLE"] as const;

interface Place {
  readonly mesh: BoundMesh;
  readonly gateway: BoundProxy;
  readonly sidecar: BoundProxy;
  /** What reached the application. */
  readonly served: readonly string[];
  readonly port: number;
  readonly gatewayPort: number;
}

/** The two proxies, and an application that answers anything in plaintext. */
async function startPlace(t: TestContext, subnet: string, mode: (typeof modes)[number]): Promise<Place> {
  const served: string[] = [];
  const { port } = await serve(t, (socket: Socket) => {
    socket.on("data", (chunk) => {
      served.push(chunk.toString("latin1"));
      socket.end("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\napp");
    });
  });
  const gatewayPort = await closedPort();
  const policies = [peerAuthentication("mesh", "istio-system", `{mtls: {mode: ${mode}}}`)];
  const mesh: BoundMesh = { subnet, ports: [{ name: "http", port }], gatewayPort, policies };
  const sidecar = await startBoundProxy(t, mesh, "httpbin", ca);
  const gateway = await startBoundProxy(t, mesh, "gateway", ca);
  return { mesh, gateway, sidecar, served, port, gatewayPort };
}

const listenerOf = ({ mesh, gatewayPort }: Place): string => `listener.${gatewayAddress(mesh)}_${gatewayPort}`;

/** A record that says nothing of its connection. */
const untouched = { details: null, termination: null, flags: "-", cluster: null, host: null };

/** The reasons counted so far. */
function refusals(place: Place): Record<string, number> {
  const counts = sniRefusals.map((reason) => [reason, place.gateway.stat(`${listenerOf(place)}.sni_refused.${reason}`)] as const);
  return Object.fromEntries(counts.filter(([, count]) => count !== 0));
}

suite("a client without a certificate of the mesh, at an east-west gateway", () => {
  for (const [index, mode] of modes.entries()) {
    test(`${mode}: every server name with every ALPN`, { timeout: 60_000 }, async (t) => {
      const place = await startPlace(t, `127.78.${index}`, mode);
      const { gateway, sidecar, mesh, port, gatewayPort } = place;
      const name = `outbound_.${port}_._.${boundHost}`;
      const target = { host: gatewayAddress(mesh), port: gatewayPort };
      const sidecarAt = `${sidecarAddress(mesh)}:${port}`;
      const sidecarListener = `${sidecarAddress(mesh)}_${port}`;
      const expected: Record<string, number> = {};
      let cells = 0;
      let passed = 0;
      for (const { form, sent, logged, why } of serverNameForms(boundHost, port)) {
        for (const alpn of protocolSets) {
          const inMesh = alpn.some((protocol) => meshAlpn.includes(protocol));
          const reason = why ?? (inMesh ? (mode === "DISABLE" ? "no_mtls_endpoints" : undefined) : "no_mesh_alpn");
          await t.test(`${form}, ALPN ${alpn.join(" ") || "none"}: ${reason ?? "refused by the sidecar"}`, async (cell) => {
            const life = await handshake(cell, target, sent, alpn);
            cells++;
            const { sent: bytesSent, ...record } = (await gateway.records(cells))[cells - 1] ?? {};
            if (reason === undefined) {
              passed++;
              assert.equal(life.code, "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED");
              assert.deepEqual(record, { ...untouched, sni: logged, cluster: name, host: sidecarAt });
              await sidecar.reaches(`listener.${sidecarListener}.ssl.fail_verify_no_cert`, passed);
            } else {
              expected[reason] = (expected[reason] ?? 0) + 1;
              assert.deepEqual(life, { code: "ECONNRESET", bytes: 0 });
              assert.equal(bytesSent, 0);
              // With a chain it is the TCP proxy that refuses, without one the listener.
              const told =
                reason === "no_mtls_endpoints" ? { flags: "UH", termination: reason, cluster: name } : { flags: "NR", details: reason };
              assert.deepEqual(record, { ...untouched, sni: logged, ...told });
            }
            assert.deepEqual(refusals(place), expected);
            assert.equal(sidecar.stat(`listener.${sidecarListener}.downstream_cx_total`), passed, "the sidecar saw nothing of a refusal");
            assert.deepEqual(place.served, []);
          });
        }
      }
      assert.deepEqual([cells, passed], [48, mode === "DISABLE" ? 0 : 8]);
      const withCertificate = await askAsMesh(t, place, name);
      assert.equal(withCertificate, mode === "DISABLE" ? "ECONNRESET" : "200", "a client of the mesh, over the same way");
    });
  }
});

/** Asks the service as a workload of the mesh: the status, or the error code. */
async function askAsMesh(t: TestContext, { mesh, gatewayPort }: Place, servername: string): Promise<string> {
  const own = ca.issue({ uri: ["spiffe://cluster.local/ns/default/sa/sleep"] });
  const socket = tlsConnect({
    host: gatewayAddress(mesh),
    port: gatewayPort,
    servername,
    cert: own.chain,
    key: own.key,
    ca: ca.cert,
    ALPNProtocols: ["istio-http/1.1", "istio"],
    checkServerIdentity: (_, peer) => (peer.subjectaltname === `URI:${boundIdentity}` ? undefined : new Error("not the workload")),
  });
  t.after(() => socket.destroy());
  socket.write("GET / HTTP/1.1\r\nhost: httpbin\r\n\r\n");
  return new Promise((resolve) => {
    socket.once("data", (chunk: Buffer) => resolve(/^HTTP\/1\.1 (\d+)/.exec(chunk.toString("latin1"))?.[1] ?? "no HTTP"));
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}
