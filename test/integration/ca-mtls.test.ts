import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { connect, createServer, type TLSSocket } from "node:tls";
import type { Result } from "../../src/error.ts";
import {
  createIntermediateCa,
  createRootCa,
  issueWorkload,
  type CertificateAuthority,
  type KeyKind,
  type WorkloadCertificate,
} from "../../src/identity/ca/authority.ts";

const HOUR_MS = 3_600_000;
const now = { nowMs: Date.now(), ttlMs: HOUR_MS };

function value<T>(result: Result<T>): T {
  assert.ok(result.ok);
  return result.value;
}

function workload(root: CertificateAuthority, cluster: string, serviceAccount: string, keyKind: KeyKind): WorkloadCertificate {
  const intermediate = value(createIntermediateCa(root, { ...now, cluster }));
  return value(issueWorkload(intermediate, { ...now, trustDomain: "cluster.local", namespace: "default", serviceAccount, keyKind }));
}

function credentials(own: WorkloadCertificate): { cert: string; key: string; ca: string } {
  return {
    cert: own.chain.map((certificate) => certificate.toString()).join(""),
    key: own.key.export({ type: "pkcs8", format: "pem" }).toString(),
    ca: own.root.toString(),
  };
}

/** The names both ends saw, or the error of the end that refused first. */
async function handshake(server: WorkloadCertificate, client: WorkloadCertificate): Promise<readonly string[] | NodeJS.ErrnoException> {
  const listener = createServer({ ...credentials(server), requestCert: true, rejectUnauthorized: true, minVersion: "TLSv1.3" });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const outcome = Promise.withResolvers<string | NodeJS.ErrnoException>();
  listener.on("secureConnection", (socket: TLSSocket) => {
    socket.on("error", () => undefined);
    outcome.resolve(socket.getPeerCertificate().subjectaltname ?? "");
    socket.end("hello");
  });
  listener.on("tlsClientError", (error) => outcome.resolve(error));
  const { port } = listener.address() as AddressInfo;
  // A SPIFFE peer is known by its URI, never by the host that was dialled.
  const socket = connect({ ...credentials(client), host: "127.0.0.1", port, checkServerIdentity: () => undefined });
  const seen = Promise.withResolvers<string | NodeJS.ErrnoException>();
  socket.on("secureConnect", () => seen.resolve(socket.getPeerCertificate().subjectaltname ?? ""));
  socket.on("error", (error) => seen.resolve(error));
  socket.resume();
  const [byClient, byServer] = await Promise.all([seen.promise, outcome.promise]);
  socket.destroy();
  listener.close();
  if (byClient instanceof Error) return byClient;
  return byServer instanceof Error ? byServer : [byClient, byServer];
}

const root = createRootCa(now);

for (const kind of ["ec", "rsa"] as const) {
  test(`workloads of two clusters below one root trust each other (${kind})`, async () => {
    const seen = await handshake(workload(root, "cluster2", "httpbin", kind), workload(root, "cluster1", "sleep", kind));
    assert.deepEqual(seen, ["URI:spiffe://cluster.local/ns/default/sa/httpbin", "URI:spiffe://cluster.local/ns/default/sa/sleep"]);
  });
}

test("a workload below another root of the same name is refused", async () => {
  const refused = await handshake(workload(root, "cluster2", "httpbin", "ec"), workload(createRootCa(now), "cluster1", "sleep", "ec"));
  assert.ok(refused instanceof Error, JSON.stringify(refused));
});

test("a workload cannot sign for another", async () => {
  const thief = workload(root, "cluster1", "sleep", "ec");
  const forged = value(issueWorkload(thief, { ...now, trustDomain: "cluster.local", namespace: "default", serviceAccount: "admin" }));
  const refused = await handshake(workload(root, "cluster2", "httpbin", "ec"), forged);
  assert.ok(refused instanceof Error, JSON.stringify(refused));
});
