// PeerAuthentication on real sockets: a sidecar in front of an application that speaks plaintext and TLS of its own on every port,
// and what each kind of client gets from it under each mode.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { connect as tlsConnect, TLSSocket, createSecureContext } from "node:tls";
import { boundIdentity, peerAuthentication, sidecarAddress, startBoundProxy } from "../../support/bound-mesh.ts";
import type { BoundMesh, BoundPort, BoundProxy } from "../../support/bound-mesh.ts";
import { makeCa } from "../../support/certs.ts";

const meshCa = makeCa("mesh");
const caller = meshCa.issue({ uri: ["spiffe://cluster.local/ns/default/sa/sleep"] });
const otherCa = makeCa("other");
const ofOtherMesh = otherCa.issue({ uri: ["spiffe://cluster.local/ns/default/sa/sleep"] });
const appCertificate = makeCa("app").issue({ cn: "app.test", dns: ["app.test"] });

const question = "GET / HTTP/1.1\r\nhost: httpbin\r\n\r\n";
const answer = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\napp";

/** What a client got: the application in plaintext, or over the mesh's TLS, or over the application's own; or nothing. */
type Outcome = "plaintext" | "mesh TLS" | "the application's TLS" | "refused";
type Client = "plaintext" | "mesh" | "stranger with mesh ALPN" | "no certificate" | "foreign TLS";
type Mode = "STRICT" | "PERMISSIVE" | "DISABLE";
type Protocol = "http" | "tcp" | "any";

const clients: readonly Client[] = ["plaintext", "mesh", "stranger with mesh ALPN", "no certificate", "foreign TLS"];
const protocols: readonly Protocol[] = ["http", "tcp", "any"];

const onlyMesh: readonly Outcome[] = ["refused", "mesh TLS", "refused", "refused", "refused"];
const throughToTheApplication: readonly Outcome[] = ["plaintext", ...clients.slice(1).map((): Outcome => "the application's TLS")];
/** By client, in their order. */
const expected: Readonly<Record<Mode, Readonly<Record<Protocol, readonly Outcome[]>>>> = {
  STRICT: { http: onlyMesh, tcp: onlyMesh, any: onlyMesh },
  PERMISSIVE: {
    // What is HTTP is taken for HTTP, and TLS that is not the mesh's is none.
    http: ["plaintext", "mesh TLS", "refused", "refused", "refused"],
    tcp: ["plaintext", "mesh TLS", "refused", "refused", "the application's TLS"],
    any: ["plaintext", "mesh TLS", "refused", "refused", "the application's TLS"],
  },
  DISABLE: {
    http: ["plaintext", "refused", "refused", "refused", "refused"],
    // Nothing looks for TLS, so its bytes are bytes like any others.
    tcp: throughToTheApplication,
    any: throughToTheApplication,
  },
};

/** Answers in plaintext, or over TLS to whoever begins with a TLS record. */
async function startApplication(t: TestContext): Promise<number> {
  const sockets = new Set<Socket>();
  const secureContext = createSecureContext({ cert: appCertificate.chain, key: appCertificate.key });
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("data", (first: Buffer) => {
      socket.pause();
      socket.unshift(first);
      const inner = first[0] === 0x16 ? new TLSSocket(socket, { isServer: true, secureContext }) : socket;
      inner.on("error", () => socket.destroy());
      inner.on("data", () => inner.write(answer));
      inner.resume();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** Asks as one kind of client. */
async function ask(kind: Client, host: string, port: number): Promise<Outcome> {
  const raw = connect({ host, port });
  raw.on("error", () => raw.destroy());
  const secure = kind === "plaintext" ? undefined : tlsConnect({ socket: raw, rejectUnauthorized: false, ...tlsOptions[kind] });
  const socket = secure ?? raw;
  socket.write(question);
  let received = "";
  const served = await new Promise<boolean>((resolve) => {
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString("latin1");
      if (received.endsWith("\r\n\r\napp")) resolve(true);
    });
    for (const end of ["error", "end", "close"]) socket.on(end, () => resolve(false));
    raw.on("close", () => resolve(false));
  });
  const peer = secure?.getPeerCertificate()?.subjectaltname;
  raw.destroy();
  if (!served) return "refused";
  if (secure === undefined) return "plaintext";
  if (peer === `URI:${boundIdentity}`) return "mesh TLS";
  assert.equal(peer, "DNS:app.test");
  return "the application's TLS";
}

const meshAlpn = ["istio-http/1.1", "istio"];
const tlsOptions = {
  mesh: { cert: caller.chain, key: caller.key, ALPNProtocols: meshAlpn },
  "stranger with mesh ALPN": { cert: ofOtherMesh.chain, key: ofOtherMesh.key, ALPNProtocols: meshAlpn },
  "no certificate": { ALPNProtocols: meshAlpn },
  "foreign TLS": { servername: "app.test", ALPNProtocols: ["http/1.1"] },
};

/** A sidecar whose three ports all lead to applications. */
async function startSidecar(t: TestContext, subnet: string, policies: (ports: Readonly<Record<Protocol, number>>) => readonly string[]) {
  const numbers = { http: await startApplication(t), tcp: await startApplication(t), any: await startApplication(t) };
  const ports = protocols.map((name): BoundPort => ({ name, port: numbers[name] }));
  const mesh: BoundMesh = { subnet, ports, policies: policies(numbers) };
  const sidecar = await startBoundProxy(t, mesh, "httpbin", meshCa);
  const outcomes = async (protocol: Protocol): Promise<readonly Outcome[]> => {
    const got: Outcome[] = [];
    for (const kind of clients) got.push(await ask(kind, sidecarAddress(mesh), numbers[protocol]));
    return got;
  };
  return { sidecar, outcomes, numbers, listener: (protocol: Protocol) => `listener.${sidecarAddress(mesh)}_${numbers[protocol]}` };
}

const wide = (mode: Mode): string => peerAuthentication("mesh", "istio-system", `{mtls: {mode: ${mode}}}`);
const timeout = 30_000;

suite("PeerAuthentication", () => {
  for (const [index, mode] of (["STRICT", "PERMISSIVE", "DISABLE"] as const).entries()) {
    test(`${mode} for the mesh: who is served on HTTP, TCP and sniffed ports`, { timeout }, async (t) => {
      const { outcomes, sidecar, listener } = await startSidecar(t, `127.77.${index}`, () => [wide(mode)]);
      for (const protocol of protocols) assert.deepEqual(await outcomes(protocol), expected[mode][protocol], protocol);
      if (mode === "STRICT") assert.equal(sidecar.stat(`${listener("tcp")}.no_filter_chain_match`), 1, "plaintext has no chain");
    });
  }

  test("without any policy it is PERMISSIVE", { timeout }, async (t) => {
    const { outcomes } = await startSidecar(t, "127.77.3", () => []);
    for (const protocol of protocols) assert.deepEqual(await outcomes(protocol), expected.PERMISSIVE[protocol], protocol);
  });

  test("ports of one workload, each with a mode of its own, before the namespace and the mesh", { timeout }, async (t) => {
    const { outcomes } = await startSidecar(t, "127.77.4", (ports) => [
      wide("DISABLE"),
      peerAuthentication("namespace", "default", "{mtls: {mode: PERMISSIVE}}"),
      peerAuthentication(
        "workload",
        "default",
        `{selector: {matchLabels: {app: httpbin}}, portLevelMtls: {${ports.http}: {mode: DISABLE}, ${ports.tcp}: {mode: STRICT}}}`,
      ),
    ]);
    assert.deepEqual(await outcomes("http"), expected.DISABLE.http);
    assert.deepEqual(await outcomes("tcp"), expected.STRICT.tcp);
    assert.deepEqual(await outcomes("any"), expected.PERMISSIVE.any);
  });

  test("a change of mode holds for the next connection, and a bad policy leaves the last good one", { timeout }, async (t) => {
    const { outcomes, sidecar } = await startSidecar(t, "127.77.5", () => [wide("PERMISSIVE")]);
    assert.deepEqual(await outcomes("tcp"), expected.PERMISSIVE.tcp);
    await apply(sidecar, wide("STRICT"), true);
    assert.deepEqual(await outcomes("tcp"), expected.STRICT.tcp);
    await apply(sidecar, peerAuthentication("mesh", "istio-system", "{mtls: {mode: OFF}}"), false);
    assert.deepEqual(await outcomes("tcp"), expected.STRICT.tcp);
    await apply(sidecar, wide("DISABLE"), true);
    assert.deepEqual(await outcomes("tcp"), expected.DISABLE.tcp);
  });
});

async function apply(sidecar: BoundProxy, policy: string, good: boolean): Promise<void> {
  assert.equal(await sidecar.setPolicies([policy]), good);
}
