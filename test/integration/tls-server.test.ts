// The server side of TLS on real sockets: what a client sees, alert by alert, and what the proxy learns of it.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTcp, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import { after, suite, test } from "node:test";
import { connect as connectTls } from "node:tls";
import type { ConnectionOptions } from "node:tls";
import { systemClock } from "../../src/clock.ts";
import type { DownstreamTlsContext } from "../../src/envoy/tls/tls.ts";
import type { ProxyError } from "../../src/error.ts";
import { SecretStore } from "../../src/identity/secret-store.ts";
import { createServerTransport } from "../../src/identity/server-transport.ts";
import type { ServerTransport } from "../../src/identity/transport.ts";
import type { TlsPeer } from "../../src/telemetry/stream-info.ts";
import { makeCa } from "../support/certs.ts";
import { commonTls, downstreamTls, recordingLogger, validation, versionedSecret } from "../support/tls-models.ts";

const ca = makeCa("mesh root");
const otherCa = makeCa("other root");
const serverCertificate = ca.issue({
  o: "lab",
  cn: "server",
  dns: ["a.example.com"],
  uri: ["spiffe://cluster.local/ns/default/sa/server"],
});
const clientCertificate = ca.issue({ cn: "client", o: "lab", dns: ["client.lab"], uri: ["spiffe://cluster.local/ns/default/sa/client"] });
const strangerCertificate = otherCa.issue({ cn: "stranger" });
const expiredCertificate = ca.issue({ cn: "late", notBeforeMs: -7_200_000, notAfterMs: -3_600_000 });
const serverOnlyCertificate = ca.issue({ cn: "server only", usages: ["server"] });
const trusted = validation({ trustedCa: ca.cert });
const mtls = downstreamTls(commonTls(serverCertificate, { validation: trusted }), { requireClientCertificate: true });

type Outcome = { readonly peer: TlsPeer; readonly alpn: string } | { readonly error: ProxyError };

interface Terminator {
  readonly port: number;
  next(): Promise<Outcome>;
}

const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close();
});

// Accepts connections; `peek` reads the hello off the socket first, as a listener with a TLS inspector does.
async function terminate(transport: ServerTransport, peek: boolean, timeoutMs = 0): Promise<Terminator> {
  const outcomes: Outcome[] = [];
  let wake: (() => void) | undefined;
  const settle = (outcome: Outcome): void => {
    outcomes.push(outcome);
    wake?.();
  };
  const begin = (socket: Socket, initialBytes: Buffer | undefined): void => {
    transport.handshake(socket, initialBytes, timeoutMs, {
      onSecure: (secure, peer, alpn) => {
        settle({ peer, alpn });
        secure.write("welcome ");
        secure.on("data", (data) => secure.write(data));
      },
      onFailed: (error) => settle({ error }),
    });
  };
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on("error", () => {});
    if (!peek) return begin(socket, undefined);
    socket.once("data", (data: Buffer) => {
      socket.pause();
      begin(socket, data);
    });
    socket.resume();
  });
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    next: async () => {
      while (outcomes.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      return outcomes.shift() as Outcome;
    },
  };
}

function transportOf(tls: DownstreamTlsContext): ServerTransport {
  return createServerTransport(tls, new SecretStore(), { clock: systemClock, logger: recordingLogger() });
}

interface Seen {
  up: boolean;
  alpn: string;
  /** The bytes that came, or the code of the error. */
  got: string;
  reused: boolean;
  sessions: Buffer[];
}

// A client that says "hi" as soon as it is up and leaves once that was echoed.
async function dial(port: number, options: ConnectionOptions): Promise<Seen> {
  const socket = connectTls({ port, host: "127.0.0.1", ca: [ca.cert], servername: "a.example.com", ...options });
  const seen: Seen = { up: false, alpn: "", got: "", reused: false, sessions: [] };
  socket.on("session", (session) => seen.sessions.push(session));
  socket.on("secureConnect", () => {
    seen.up = true;
    seen.alpn = socket.alpnProtocol || "";
    seen.reused = socket.isSessionReused();
    socket.write("hi");
  });
  socket.on("data", (data: Buffer) => {
    seen.got += data.toString("latin1");
    if (seen.got.endsWith("hi")) socket.destroy();
  });
  socket.on("error", (error: NodeJS.ErrnoException) => (seen.got = error.code ?? error.message));
  await new Promise((resolve) => socket.once("close", resolve));
  return seen;
}

const pair = (issued: { readonly chain: string; readonly key: string }): ConnectionOptions => ({ cert: issued.chain, key: issued.key });
const tls12: ConnectionOptions = { maxVersion: "TLSv1.2" };

suite("TLS termination", () => {
  test("learns who the client is, and tells who we were", async () => {
    const server = await terminate(transportOf(mtls), true);
    const seen = await dial(server.port, pair(clientCertificate));
    const outcome = await server.next();
    assert.ok("peer" in outcome);
    const { peer } = outcome;
    assert.equal(seen.got, "welcome hi");
    assert.deepEqual(
      {
        presented: peer.presented,
        validated: peer.validated,
        version: peer.version,
        uri: peer.uriSans,
        dns: peer.dnsSans,
        subject: peer.subject,
      },
      {
        presented: true,
        validated: true,
        version: "TLSv1.3",
        uri: ["spiffe://cluster.local/ns/default/sa/client"],
        dns: ["client.lab"],
        subject: "O=lab,CN=client",
      },
    );
    assert.match(peer.sha256, /^[0-9a-f]{64}$/);
    assert.match(peer.serialNumber, /^4a[0-9a-f]{30}$/);
    assert.equal(peer.pem().replaceAll(/\s/g, ""), clientCertificate.cert.replaceAll(/\s/g, ""));
    assert.deepEqual(
      [peer.localUriSan, peer.localDnsSans, peer.localSubject, peer.issuer],
      ["spiffe://cluster.local/ns/default/sa/server", ["a.example.com"], "O=lab,CN=server", "O=test,CN=mesh root"],
    );
  });

  const refusals: readonly [title: string, options: ConnectionOptions, code: string, reason: RegExp][] = [
    ["TLS 1.3 without certificate: alert 116", {}, "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED", /PEER_DID_NOT_RETURN_A_CERTIFICATE/],
    ["TLS 1.2 without certificate: alert 40", tls12, "ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE", /PEER_DID_NOT_RETURN_A_CERTIFICATE/],
    ["TLS 1.3 with AES-256, another CA: alert 48", pair(strangerCertificate), "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", /get local issuer/],
    ["TLS 1.2, another CA: alert 48", { ...tls12, ...pair(strangerCertificate) }, "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", /get local issuer/],
    [
      "TLS 1.3 with AES-128, another CA: alert 48",
      { ciphers: "TLS_AES_128_GCM_SHA256", ...pair(strangerCertificate) },
      "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA",
      /issuer/,
    ],
    [
      "TLS 1.3 with ChaCha20, another CA: alert 48",
      { ciphers: "TLS_CHACHA20_POLY1305_SHA256", ...pair(strangerCertificate) },
      "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA",
      /issuer/,
    ],
    ["an expired certificate: alert 45", pair(expiredCertificate), "ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED", /certificate has expired/],
    [
      "a certificate for servers only: alert 43",
      pair(serverOnlyCertificate),
      "ERR_SSL_SSL/TLS_ALERT_UNSUPPORTED_CERTIFICATE",
      /certificate purpose/,
    ],
    [
      "TLS 1.1: alert 70",
      { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT:@SECLEVEL=0" },
      "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION",
      /UNSUPPORTED_PROTOCOL/,
    ],
  ];
  for (const [title, options, code, reason] of refusals) {
    test(`refuses ${title}`, async () => {
      const server = await terminate(transportOf(mtls), true);
      assert.equal((await dial(server.port, options)).got, code);
      const outcome = await server.next();
      assert.ok("error" in outcome);
      assert.equal(outcome.error.code, "downstream_protocol_error");
      assert.match(outcome.error.reason ?? "", reason);
    });
  }

  test("refuses a client whose SANs do not match", async () => {
    const matchSubjectAltNames = [
      { sanType: "URI", matcher: { kind: "prefix", value: "spiffe://cluster.local/ns/other/", ignoreCase: false } },
    ] as const;
    const tls = downstreamTls(commonTls(serverCertificate, { validation: { ...trusted, matchSubjectAltNames } }));
    const server = await terminate(transportOf(tls), true);
    assert.equal((await dial(server.port, pair(clientCertificate))).got, "ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_UNKNOWN");
    const outcome = await server.next();
    assert.ok("error" in outcome);
    assert.match(
      outcome.error.reason ?? "",
      /SAN matcher, certificate SANs are \[spiffe:\/\/cluster.local\/ns\/default\/sa\/client, client.lab\]/,
    );
  });

  test("an optional client certificate may be missing but not wrong", async () => {
    const server = await terminate(transportOf(downstreamTls(commonTls(serverCertificate, { validation: trusted }))), true);
    assert.equal((await dial(server.port, {})).got, "welcome hi");
    const outcome = await server.next();
    assert.ok("peer" in outcome);
    assert.deepEqual([outcome.peer.presented, outcome.peer.validated, outcome.peer.subject, outcome.peer.pem()], [false, false, "", ""]);
    assert.equal((await dial(server.port, pair(strangerCertificate))).got, "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA");
  });

  test("accept_untrusted lets a stranger in and marks it unvalidated", async () => {
    const tls = downstreamTls(commonTls(serverCertificate, { validation: { ...trusted, acceptUntrusted: true } }));
    const server = await terminate(transportOf(tls), true);
    assert.equal((await dial(server.port, pair(strangerCertificate))).got, "welcome hi");
    const outcome = await server.next();
    assert.ok("peer" in outcome);
    assert.deepEqual([outcome.peer.presented, outcome.peer.validated], [true, false]);
  });

  const protocols: readonly [title: string, configured: string[], offered: string[], chosen: string][] = [
    ["the server's order wins", ["http/1.1", "http/1.0"], ["http/1.0", "http/1.1"], "http/1.1"],
    ["nothing in common goes on without ALPN", ["http/1.1"], ["foo"], ""],
    ["istio-peer-exchange is never selected", ["istio-peer-exchange", "istio"], ["istio-peer-exchange", "istio"], "istio"],
    ["only istio-peer-exchange in common goes on without", ["istio-peer-exchange"], ["istio-peer-exchange"], ""],
    ["h2 is selected", ["h2", "http/1.1"], ["http/1.1", "h2"], "h2"],
    ["a server without a list answers none", [], ["http/1.1"], ""],
  ];
  for (const [title, configured, offered, chosen] of protocols) {
    test(`ALPN: ${title}`, async () => {
      const server = await terminate(transportOf(downstreamTls(commonTls(serverCertificate, { alpnProtocols: configured }))), true);
      const seen = await dial(server.port, { ALPNProtocols: offered });
      const outcome = await server.next();
      assert.ok("peer" in outcome);
      assert.deepEqual([seen.up, seen.alpn, outcome.alpn], [true, chosen, chosen]);
    });
  }

  test("reads the hello itself when nobody did, ALPN included", async () => {
    const server = await terminate(transportOf(downstreamTls(commonTls(serverCertificate, { alpnProtocols: ["http/1.1"] }))), false);
    const seen = await dial(server.port, { ALPNProtocols: ["foo", "http/1.1"] });
    assert.deepEqual([seen.alpn, seen.got], ["http/1.1", "welcome hi"]);
  });

  test("presents the certificate that the server name selects", async () => {
    const wild = ca.issue({ dns: ["*.wild.example.com"] });
    const certificates = [serverCertificate, wild].map((issued) => ({ certificateChain: issued.chain, privateKey: issued.key }));
    const server = await terminate(transportOf(downstreamTls(commonTls(undefined, { certificates }))), true);
    for (const [name, dns] of [
      ["x.wild.example.com", "*.wild.example.com"],
      ["A.example.com", "a.example.com"],
      ["unknown.example.org", "a.example.com"],
    ] as const) {
      await dial(server.port, { servername: name, rejectUnauthorized: false });
      const outcome = await server.next();
      assert.ok("peer" in outcome);
      assert.deepEqual(outcome.peer.localDnsSans, [dns], name);
    }
  });

  test("answers plain text with an alert and says so", async () => {
    const server = await terminate(transportOf(mtls), false);
    const socket = connectTcp(server.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write("GET / HTTP/1.1\r\n\r\n");
    const outcome = await server.next();
    assert.ok("error" in outcome);
    assert.match(
      outcome.error.reason ?? "",
      /^TLS_error:\|\d+:SSL routines:OPENSSL_internal:(HTTP_REQUEST|WRONG_VERSION_NUMBER):TLS_error_end$/,
    );
    socket.destroy();
  });

  test("gives up on a client that says nothing, and on one that stops half way", async () => {
    const server = await terminate(transportOf(mtls), false, 50);
    for (const bytes of [Buffer.alloc(0), Buffer.from([22, 3, 1, 2, 0])]) {
      const socket = connectTcp(server.port, "127.0.0.1");
      const closed = new Promise((resolve) => socket.once("close", resolve));
      socket.on("error", () => {}).resume();
      if (bytes.length > 0) socket.write(bytes);
      const outcome = await server.next();
      assert.ok("error" in outcome);
      assert.equal(outcome.error.reason, "transport_socket_timeout");
      await closed;
    }
  });

  test("a client that closes during the handshake is no protocol error", async () => {
    const server = await terminate(transportOf(mtls), false);
    connectTcp(server.port, "127.0.0.1")
      .on("error", () => {})
      .end(Buffer.from([22, 3, 1]));
    const outcome = await server.next();
    assert.ok("error" in outcome);
    assert.equal(outcome.error.code, "downstream_closed");
  });

  test("needs its secrets, takes up new ones, and lets no ticket survive a change of CA", async () => {
    const secrets = new SecretStore();
    const common = commonTls(undefined, { certificateSecrets: ["default"], validationSecret: "ROOTCA" });
    const deps = { clock: systemClock, logger: recordingLogger() };
    const transport = createServerTransport(downstreamTls(common, { requireClientCertificate: true }), secrets, deps);
    const identity = versionedSecret("default", "1", {
      certificate: { certificateChain: serverCertificate.chain, privateKey: serverCertificate.key },
    });
    secrets.apply({ set: [identity], removed: [] });
    assert.equal(transport.ready, false);
    secrets.apply({ set: [versionedSecret("ROOTCA", "1", { validation: trusted })], removed: [] });
    assert.equal(transport.ready, true);

    const server = await terminate(transport, true);
    const first = await dial(server.port, pair(clientCertificate));
    const session = first.sessions.at(-1);
    assert.ok(session);
    const second = await dial(server.port, { ...pair(clientCertificate), session });
    assert.deepEqual([second.reused, second.got], [true, "welcome hi"]);
    await server.next();
    const resumed = await server.next();
    assert.ok("peer" in resumed);
    assert.deepEqual([resumed.peer.uriSans, resumed.peer.validated], [["spiffe://cluster.local/ns/default/sa/client"], true]);

    secrets.apply({ set: [versionedSecret("ROOTCA", "2", { validation: validation({ trustedCa: otherCa.cert }) })], removed: [] });
    const third = await dial(server.port, { ...pair(clientCertificate), session: second.sessions.at(-1) ?? session });
    assert.deepEqual([third.reused, third.got], [false, "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA"]);
    secrets.apply({ set: [], removed: ["default"] });
    assert.equal(transport.ready, false);
  });
});
