// What the server side of TLS holds its clients to on real sockets: staples, revoked clients, one handshake a connection, no ticket
// across a changed policy, no ClientHello without end.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTcp, createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { connect } from "node:tls";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import { systemClock } from "../../src/clock.ts";
import type { DownstreamTlsContext, OcspStaplePolicy } from "../../src/envoy/tls/tls.ts";
import { SecretStore } from "../../src/identity/secret-store.ts";
import { createServerTransport } from "../../src/identity/server-transport.ts";
import type { ServerTransport } from "../../src/identity/transport.ts";
import { makeCa, type Issued } from "../support/certs.ts";
import { commonTls, downstreamTls, recordingLogger, validation, versionedSecret } from "../support/tls-models.ts";

const ca = makeCa("policy root");
const serverCertificate = ca.issue({ dns: ["a.example.com"] });
const client = ca.issue({ uri: ["spiffe://cluster.local/ns/default/sa/client"] });
const pair = (issued: Issued): ConnectionOptions => ({ cert: issued.chain, key: issued.key });
const hourMs = 3_600_000;

interface Server {
  readonly port: number;
  /** Why connections failed, in order. */
  readonly failures: string[];
}

async function serve(t: TestContext, transport: ServerTransport): Promise<Server> {
  const failures: string[] = [];
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    transport.handshake(socket, undefined, 5000, {
      onSecure: (secure) => void secure.on("error", () => secure.destroy()).pipe(secure),
      onFailed: (error) => void failures.push(error.reason ?? ""),
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return { port: (server.address() as AddressInfo).port, failures };
}

const deps = (): Parameters<typeof createServerTransport>[2] => ({ clock: systemClock, logger: recordingLogger() });
const transportOf = (tls: DownstreamTlsContext): ServerTransport => createServerTransport(tls, new SecretStore(), deps());

/** Connects, has one message echoed and leaves; or gives the error. */
async function dial(t: TestContext, port: number, options: ConnectionOptions = {}): Promise<TLSSocket | string> {
  const socket = connect({ host: "127.0.0.1", port, ca: ca.cert, servername: "a.example.com", ...options });
  t.after(() => socket.destroy());
  socket.setTimeout(5000, () => socket.destroy(new Error("timed out")));
  return new Promise((resolve) => {
    let error = "closed";
    socket.on("error", (thrown: NodeJS.ErrnoException) => (error = thrown.code ?? thrown.message));
    socket.on("close", () => resolve(error));
    socket.on("secureConnect", () => socket.write("ping"));
    socket.once("data", () => resolve(socket));
  });
}

suite("TLS policies of a server", { timeout: 60_000 }, () => {
  const stapled = (staple: Buffer | undefined, policy: OcspStaplePolicy): DownstreamTlsContext => {
    const certificate = { certificateChain: serverCertificate.chain, privateKey: serverCertificate.key };
    const certificates = [staple === undefined ? certificate : { ...certificate, ocspStaple: staple.toString("base64") }];
    return downstreamTls(commonTls(undefined, { certificates }), { ocspStaplePolicy: policy });
  };
  const good = ca.vouchFor(serverCertificate.cert, Date.now() + hourMs);
  const expired = ca.vouchFor(serverCertificate.cert, Date.now() - 1000);

  for (const [title, staple, policy, asked, unasked] of [
    ["is shown to clients that ask", good, "LENIENT_STAPLING", good, true],
    ["that expired is left out", expired, "LENIENT_STAPLING", undefined, true],
    ["that holds satisfies STRICT_STAPLING", good, "STRICT_STAPLING", good, true],
    ["that expired fails STRICT_STAPLING for those who ask", expired, "STRICT_STAPLING", "refused", true],
    ["may be missing with STRICT_STAPLING", undefined, "STRICT_STAPLING", undefined, true],
    ["that holds satisfies MUST_STAPLE", good, "MUST_STAPLE", good, true],
    ["that is missing fails MUST_STAPLE", undefined, "MUST_STAPLE", "refused", false],
    ["of another certificate is none", ca.vouchFor(client.cert, Date.now() + hourMs), "LENIENT_STAPLING", "refused", false],
  ] as const) {
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      test(`a staple ${title}, ${maxVersion}`, async (t) => {
        const { port } = await serve(t, transportOf(stapled(staple, policy)));
        const socket = connect({ host: "127.0.0.1", port, ca: ca.cert, servername: "a.example.com", maxVersion, requestOCSP: true });
        let seen: Buffer | undefined;
        socket.on("OCSPResponse", (response: Buffer | null) => (seen = response ?? undefined));
        const outcome = await new Promise<string>((resolve) => {
          socket
            .on("secureConnect", () => resolve("secure"))
            .on("error", () => resolve("refused"))
            .on("close", () => resolve("refused"));
        });
        socket.destroy();
        if (asked === "refused") assert.equal(outcome, "refused");
        else assert.deepEqual([outcome, seen], ["secure", asked]);
        assert.equal(typeof (await dial(t, port, { maxVersion })) !== "string", unasked);
      });
    }
  }

  test("a client on the revocation list is refused, told so, and named in Envoy's words", async (t) => {
    const trusted = validation({ trustedCa: ca.cert, crl: ca.revoke(client.cert) });
    const tls = downstreamTls(commonTls(serverCertificate, { validation: trusted }), { requireClientCertificate: true });
    const { port, failures } = await serve(t, transportOf(tls));
    assert.equal(await dial(t, port, pair(client)), "ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_REVOKED");
    assert.match(
      failures[0] ?? "",
      /verify cert failed: X509_verify_cert: certificate verification error at depth 0: certificate revocation check against provided CRLs failed: certificate revoked/,
    );
    assert.notEqual(typeof (await dial(t, port, pair(ca.issue()))), "string");
  });

  test("nobody shakes hands twice on one connection", async (t) => {
    const { port } = await serve(t, transportOf(downstreamTls(commonTls(serverCertificate))));
    const socket = await dial(t, port, { maxVersion: "TLSv1.2" });
    assert.ok(typeof socket !== "string");
    const ended = new Promise<string>((resolve) => {
      socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
      socket.renegotiate({}, (error) => resolve((error as NodeJS.ErrnoException | null)?.code ?? "renegotiated"));
    });
    assert.match(await ended, /NO_RENEGOTIATION/);
  });

  test("no ticket survives a change of the policy", async (t) => {
    const secrets = new SecretStore();
    const common = commonTls(serverCertificate, { validationSecret: "ROOTCA" });
    const transport = createServerTransport(downstreamTls(common, { requireClientCertificate: true }), secrets, deps());
    const trust = (version: string, account: string): void =>
      secrets.apply({
        set: [
          versionedSecret("ROOTCA", version, {
            validation: validation({
              trustedCa: ca.cert,
              matchSubjectAltNames: [
                { sanType: "URI", matcher: { kind: "exact", value: `spiffe://cluster.local/ns/default/sa/${account}`, ignoreCase: false } },
              ],
            }),
          }),
        ],
        removed: [],
      });
    trust("1", "client");
    const { port, failures } = await serve(t, transport);
    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      trust(`before ${maxVersion}`, "client");
      const first = await dial(t, port, { ...pair(client), maxVersion });
      assert.ok(typeof first !== "string");
      const session = first.getSession();
      assert.ok(session);
      const again = await dial(t, port, { ...pair(client), maxVersion, session });
      assert.ok(typeof again !== "string");
      if (maxVersion === "TLSv1.2") assert.equal(again.isSessionReused(), true);
      trust(`after ${maxVersion}`, "somebody-else");
      const before = failures.length;
      assert.equal(typeof (await dial(t, port, { ...pair(client), maxVersion, session })), "string");
      assert.match(failures[before] ?? "", /SAN matcher/);
    }
  });

  test("a ClientHello beyond 16 KB is refused as BoringSSL refuses it", async (t) => {
    const { port, failures } = await serve(t, transportOf(downstreamTls(commonTls(serverCertificate))));
    const socket = connectTcp(port, "127.0.0.1");
    t.after(() => socket.destroy());
    // Two records of a message that says it has 20,000 bytes.
    const record = (body: Buffer): Buffer => Buffer.concat([Buffer.from([22, 3, 1, body.length >> 8, body.length & 255]), body]);
    const message = Buffer.concat([Buffer.from([1, 0, 20_000 >> 8, 20_000 & 255, 3, 3]), Buffer.alloc(19_998)]);
    socket.write(Buffer.concat([record(message.subarray(0, 16_384)), record(message.subarray(16_384))]));
    const [alert] = (await once(socket, "data")) as [Buffer];
    assert.deepEqual([...alert], [21, 3, 1, 0, 2, 2, 47]);
    assert.match(failures[0] ?? "", /EXCESSIVE_MESSAGE_SIZE/);
  });
});
