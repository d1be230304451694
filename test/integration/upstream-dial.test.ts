// Connections to hosts over real sockets: plain, pipe, bound, TLS, and every way in which they fail, with the stats they leave.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import type { ListenOptions, Server, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";
import { createSecureContext, createServer as createTlsServer } from "node:tls";
import type { TlsOptions, TLSSocket } from "node:tls";
import { systemClock } from "../../src/clock.ts";
import type { Clock } from "../../src/clock.ts";
import type { Cluster } from "../../src/envoy/cluster/cluster.ts";
import type { UpstreamTlsContext } from "../../src/envoy/tls/tls.ts";
import type { ProxyError } from "../../src/error.ts";
import { socketFd } from "../../src/net/descriptor.ts";
import { loadLibc } from "../../src/net/native.ts";
import { createClientTransport } from "../../src/identity/client-transport.ts";
import { SecretStore } from "../../src/identity/secret-store.ts";
import type { Pending } from "../../src/identity/transport.ts";
import type { TlsPeer } from "../../src/telemetry/stream-info.ts";
import { ClusterManager } from "../../src/upstream/cluster-manager.ts";
import type { DialOptions } from "../../src/upstream/cluster.ts";
import { makeCa } from "../support/certs.ts";
import { assignment, cluster, endpoint, group, lbContext, seededRandom, setting, unchanged } from "../support/cluster-models.ts";
import { manualClock } from "../support/manual-clock.ts";
import { recordingStats } from "../support/recording-stats.ts";
import type { RecordingStats } from "../support/recording-stats.ts";
import { commonTls, recordingLogger, upstreamTls, validation, versionedSecret } from "../support/tls-models.ts";

const ca = makeCa("mesh root");
const otherCa = makeCa("other root");
const serverSpiffe = "spiffe://cluster.local/ns/default/sa/server";
const serverCertificate = ca.issue({ dns: ["a.example.com"], uri: [serverSpiffe], cn: "server" });
const clientCertificate = ca.issue({ uri: ["spiffe://cluster.local/ns/default/sa/client"] });
const trusted = validation({ trustedCa: ca.cert });

const servers: Server[] = [];
after(() => {
  for (const server of servers) server.close();
});

async function listen(server: Server, options: ListenOptions = { port: 0, host: "127.0.0.1" }): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(options, resolve));
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

type Outcome =
  | { readonly socket: Socket | TLSSocket; readonly peer: TlsPeer | undefined; readonly alpn: string }
  | { readonly error: ProxyError };

interface Bench {
  readonly stats: RecordingStats;
  readonly manager: ClusterManager;
  readonly secrets: SecretStore;
  readonly warnings: readonly string[];
  dial(options?: Partial<DialOptions>, started?: (pending: Pending) => void): Promise<Outcome>;
  value(name: string): number | undefined;
}

function bench(over: Partial<Cluster>, clock: Clock = systemClock): Bench {
  const stats = recordingStats();
  const secrets = new SecretStore();
  const logger = recordingLogger();
  const manager = new ClusterManager({
    clock,
    stats,
    logger,
    random: seededRandom(1),
    createClientTransport: (tls, scope) => createClientTransport(tls, secrets, { clock, logger, stats: scope }),
  });
  manager.apply(setting(cluster("c", over)), unchanged);
  return {
    stats,
    manager,
    secrets,
    warnings: logger.warnings,
    value: (name) => stats.value(`cluster.c.${name}`),
    dial: (options = {}, started = () => {}) =>
      new Promise((resolve) => {
        const host = manager.get("c")?.pick(lbContext());
        assert.ok(host);
        const pending = host.dial(
          { allowHalfOpen: false, ...options },
          { onConnected: (socket, peer, alpn) => resolve({ socket, peer, alpn }), onFailed: (error) => resolve({ error }) },
        );
        started(pending);
      }),
  };
}

const at = (address: string): Partial<Cluster> => ({ loadAssignment: assignment("c", [group([endpoint(address)])]) });
const overTls = (port: number, tls: UpstreamTlsContext): Partial<Cluster> => ({
  ...at(`127.0.0.1:${port}`),
  transportSocket: { kind: "tls", tls },
});
const closed = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once("close", () => resolve()));

function tlsServer(options: TlsOptions = {}, onSocket: (socket: TLSSocket) => void = (socket) => void socket.end("bye")): Promise<number> {
  const server = createTlsServer({ cert: serverCertificate.chain, key: serverCertificate.key, ...options }, (socket) => {
    socket.on("error", () => {});
    onSocket(socket);
  });
  server.on("tlsClientError", () => {});
  return listen(server);
}

suite("dialling", () => {
  test("connects, counts, and tells who closed", async () => {
    const port = await listen(createServer((socket) => void socket.on("error", () => {}).once("data", () => socket.end("bye"))));
    const room = bench(at(`127.0.0.1:${port}`));
    const mine = await room.dial();
    assert.ok("socket" in mine);
    assert.deepEqual([room.value("upstream_cx_total"), room.value("upstream_cx_active"), room.value("upstream_cx_connect_ms")], [1, 1, 1]);
    assert.deepEqual([mine.peer, mine.alpn], [undefined, ""]);
    mine.socket.destroy();
    await closed(mine.socket);
    assert.deepEqual(
      [room.value("upstream_cx_active"), room.value("upstream_cx_destroy"), room.value("upstream_cx_destroy_local")],
      [0, 1, 1],
    );

    const theirs = await room.dial();
    assert.ok("socket" in theirs);
    theirs.socket.resume().write("x");
    await closed(theirs.socket);
    assert.deepEqual(
      [room.value("upstream_cx_active"), room.value("upstream_cx_destroy"), room.value("upstream_cx_destroy_remote")],
      [0, 2, 1],
    );
    assert.deepEqual(
      room.manager.describe()[0]?.hosts.map(({ cxTotal, cxActive, cxConnectFail }) => ({ cxTotal, cxActive, cxConnectFail })),
      [{ cxTotal: 2, cxActive: 0, cxConnectFail: 0 }],
    );
  });

  test("binds the configured source address", async () => {
    const remotes: (string | undefined)[] = [];
    const port = await listen(
      createServer((socket) => {
        remotes.push(socket.remoteAddress);
        socket.on("error", () => {}).end();
      }),
    );
    const outcome = await bench({ ...at(`127.0.0.1:${port}`), sourceAddress: { address: "127.0.0.6", port: 0 } }).dial();
    assert.ok("socket" in outcome);
    outcome.socket.resume();
    await closed(outcome.socket);
    assert.deepEqual(remotes, ["127.0.0.6"]);
  });

  const withFallback = (first: number, more: readonly string[], port: number): Partial<Cluster> => ({
    loadAssignment: assignment("c", [
      group([endpoint(`127.0.0.1:${first}`, { additionalAddresses: more.map((address) => ({ address, port })) })]),
    ]),
  });

  test("an endpoint's additional address is called when the first refuses", async () => {
    const server = createServer((socket) => void socket.on("error", () => {}).end("hi"));
    const port = await listen(server, { port: 0, host: "127.0.0.2" });
    // 127.0.0.1 has nobody on that port.
    const room = bench(withFallback(port, ["127.0.0.2"], port));
    const outcome = await room.dial();
    assert.ok("socket" in outcome);
    assert.equal(outcome.socket.remoteAddress, "127.0.0.2");
    assert.deepEqual([room.value("upstream_cx_total"), room.value("upstream_cx_connect_fail")], [1, 0]);
    outcome.socket.resume();
    await closed(outcome.socket);
    assert.equal(room.value("upstream_cx_active"), 0);
  });

  test("an endpoint none of whose addresses answers fails once, as refused", async () => {
    const server = createServer();
    const port = await listen(server);
    await new Promise((resolve) => server.close(resolve));
    const room = bench(withFallback(port, ["127.0.0.2"], port));
    const outcome = await room.dial();
    assert.ok("error" in outcome);
    assert.equal(outcome.error.code, "upstream_connect_refused");
    assert.deepEqual([room.value("upstream_cx_connect_fail"), room.value("upstream_cx_active")], [1, 0]);
  });

  test("the source address is the one of the upstream's family", async (t) => {
    const remotes: (string | undefined)[] = [];
    const server = createServer((socket) => {
      remotes.push(socket.remoteAddress);
      socket.on("error", () => {}).end();
    });
    const port = await listen(server, { port: 0, host: "::1" }).catch(() => 0);
    if (port === 0) return t.skip("no IPv6 on this machine");
    const over: Partial<Cluster> = {
      loadAssignment: assignment("c", [group([endpoint("0:0", { address: { address: "::1", port } })])]),
      sourceAddress: { address: "127.0.0.6", port: 0 },
      extraSourceAddresses: [{ address: "::1", port: 0 }],
    };
    const outcome = await bench(over).dial();
    assert.ok("socket" in outcome, "error" in outcome ? String(outcome.error.reason) : "");
    outcome.socket.resume();
    await closed(outcome.socket);
    assert.deepEqual(remotes, ["::1"]);
  });

  test("keepalive has the cluster's silence, interval and number of probes", async (t) => {
    const libc = loadLibc();
    if (libc === undefined) return t.skip("libc cannot be called here");
    const port = await listen(createServer((socket) => void socket.on("error", () => {})));
    const keepalive = { timeMs: 11_000, intervalMs: 7_000, probes: 4 };
    const option = (socket: Socket, level: number, name: number): number => {
      const value = new Uint32Array(new ArrayBuffer(4));
      const length = new Uint32Array(new ArrayBuffer(4)).fill(4);
      const at = (view: Uint32Array): number => libc.address(new Uint8Array(view.buffer));
      assert.equal(libc.getsockopt(socketFd(socket), level, name, at(value), at(length)), 0);
      return value[0]!;
    };
    const options = (socket: Socket): readonly number[] => [option(socket, 1, 9), ...[4, 5, 6].map((name) => option(socket, 6, name))];
    for (const [over, expected] of [
      [{ tcpKeepalive: keepalive }, [1, 11, 7, 4]],
      [{}, [0, 7200, 75, 9]],
    ] as const) {
      const outcome = await bench({ ...at(`127.0.0.1:${port}`), ...over }).dial();
      assert.ok("socket" in outcome);
      assert.deepEqual(options(outcome.socket), expected);
      outcome.socket.destroy();
    }
  });

  test("reaches a pipe", async () => {
    const directory = mkdtempSync(join(tmpdir(), "isthmus-pipe-"));
    const path = join(directory, "s");
    await listen(
      createServer((socket) => void socket.end("over a pipe")),
      { path },
    );
    const room = bench({ loadAssignment: assignment("c", [group([endpoint("0:0", { address: { pipe: path } })])]) });
    const outcome = await room.dial();
    assert.ok("socket" in outcome);
    assert.equal(room.manager.get("c")?.hosts()[0]?.addressText, path);
    const chunks: Buffer[] = [];
    outcome.socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    await closed(outcome.socket);
    assert.equal(Buffer.concat(chunks).toString(), "over a pipe");
    rmSync(directory, { recursive: true });
  });

  test("a refused connection fails in Envoy's words, later than the call", async () => {
    const server = createServer();
    const port = await listen(server);
    await new Promise((resolve) => server.close(resolve));
    const room = bench(at(`127.0.0.1:${port}`));
    const outcome = await room.dial();
    assert.ok("error" in outcome);
    assert.deepEqual(
      [outcome.error.code, outcome.error.reason, outcome.error.retryable],
      ["upstream_connect_refused", "delayed connect error: Connection refused", true],
    );
    assert.deepEqual(
      [room.value("upstream_cx_connect_fail"), room.value("upstream_cx_active"), room.value("upstream_cx_connect_timeout")],
      [1, 0, 0],
    );
  });

  test("an address that is none fails like a connection", async () => {
    const outcome = await bench(at("not-an-address:80")).dial();
    assert.ok("error" in outcome);
    assert.equal(outcome.error.code, "upstream_connect_failed");
  });

  test("the connect timeout covers the TLS handshake", async () => {
    const clock = manualClock();
    const hello = Promise.withResolvers<void>();
    // Accepts TCP and never says a word.
    const port = await listen(createServer((socket) => void socket.on("error", () => {}).once("data", () => hello.resolve())));
    const room = bench({ ...overTls(port, upstreamTls(commonTls(undefined))), connectTimeoutMs: 700 }, clock);
    const dialled = room.dial();
    await hello.promise;
    clock.advance(699);
    assert.equal(room.value("upstream_cx_connect_timeout"), 0);
    clock.advance(1);
    const outcome = await dialled;
    assert.ok("error" in outcome);
    assert.equal(outcome.error.code, "upstream_connect_timeout");
    assert.deepEqual(
      ["timeout", "fail"].map((name) => room.value(`upstream_cx_connect_${name}`)),
      [1, 1],
    );
    assert.equal(clock.pending(), 0);
  });

  test("a cancelled dial says nothing and leaves nothing open", async () => {
    const [hello, gone] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const port = await listen(
      createServer((socket) => {
        socket.on("error", () => {}).once("close", () => gone.resolve());
        socket.on("data", () => hello.resolve());
      }),
    );
    const room = bench(overTls(port, upstreamTls(commonTls(undefined))));
    let pending: Pending | undefined;
    void room.dial({}, (started) => (pending = started)).then(() => assert.fail("an outcome after cancel"));
    await hello.promise;
    pending?.cancel();
    await gone.promise;
    assert.deepEqual([room.value("upstream_cx_active"), room.value("upstream_cx_connect_fail")], [0, 0]);
  });
});

suite("TLS origination", () => {
  const mesh = (over: Partial<UpstreamTlsContext> = {}): UpstreamTlsContext =>
    upstreamTls(commonTls(clientCertificate, { validation: trusted, alpnProtocols: ["istio-peer-exchange", "istio"] }), {
      sni: "outbound_.80_._.a",
      ...over,
    });

  test("sends SNI, ALPN without istio-peer-exchange and the client certificate, and knows its peer", async () => {
    const seen: { sni: unknown; alpn: unknown; client: string | undefined }[] = [];
    const port = await tlsServer({ ca: [ca.cert], requestCert: true, ALPNProtocols: ["istio-peer-exchange", "istio"] }, (socket) => {
      seen.push({
        sni: (socket as { servername?: unknown }).servername,
        alpn: socket.alpnProtocol,
        client: socket.getPeerX509Certificate()?.subjectAltName,
      });
      socket.end();
    });
    const room = bench(overTls(port, mesh()));
    const outcome = await room.dial();
    assert.ok("socket" in outcome);
    outcome.socket.resume();
    await closed(outcome.socket);
    assert.deepEqual(seen, [{ sni: "outbound_.80_._.a", alpn: "istio", client: "URI:spiffe://cluster.local/ns/default/sa/client" }]);
    assert.equal(outcome.alpn, "istio");
    assert.deepEqual(
      [outcome.peer?.validated, outcome.peer?.uriSans, outcome.peer?.localUriSan],
      [true, [serverSpiffe], "spiffe://cluster.local/ns/default/sa/client"],
    );
    assert.deepEqual([room.value("ssl.handshake"), room.value("upstream_cx_active"), room.value("upstream_cx_destroy_remote")], [1, 0, 1]);
  });

  const names: readonly [title: string, tls: Partial<UpstreamTlsContext>, options: Partial<DialOptions>, sni: unknown, alpn: unknown][] = [
    ["an empty SNI is not sent", { sni: "" }, {}, false, "istio"],
    ["an IP literal is not sent as SNI", { sni: "127.0.0.1" }, {}, false, "istio"],
    [
      "the connection's own SNI and ALPN replace the context's",
      {},
      { sni: "other.example.com", alpn: ["http/1.1"] },
      "other.example.com",
      "http/1.1",
    ],
    ["an empty ALPN list offers none", {}, { alpn: [] }, "outbound_.80_._.a", false],
  ];
  for (const [title, tls, options, sni, alpn] of names) {
    test(title, async () => {
      let seen: unknown[] = [];
      const port = await tlsServer({ ALPNProtocols: ["istio", "http/1.1"] }, (socket) => {
        seen = [(socket as { servername?: unknown }).servername, socket.alpnProtocol];
        socket.end();
      });
      const outcome = await bench(overTls(port, mesh(tls))).dial(options);
      assert.ok("socket" in outcome);
      outcome.socket.resume();
      await closed(outcome.socket);
      assert.deepEqual(seen, [sni, alpn]);
    });
  }

  const uri = (value: string) => [{ sanType: "URI", matcher: { kind: "exact", value, ignoreCase: false } }] as const;
  const verify = "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify cert failed: ";
  const failures: readonly [title: string, validated: Parameters<typeof validation>[0], server: TlsOptions, reason: string | RegExp][] = [
    [
      "another SAN",
      { trustedCa: ca.cert, matchSubjectAltNames: uri("spiffe://cluster.local/ns/default/sa/other") },
      {},
      `${verify}SAN matcher, certificate SANs are [${serverSpiffe}, a.example.com]:TLS_error_end`,
    ],
    [
      "another CA",
      { trustedCa: otherCa.cert },
      {},
      `${verify}X509_verify_cert: certificate verification error at depth 0: unable to get local issuer certificate:TLS_error_end`,
    ],
    [
      "an expired certificate",
      { trustedCa: ca.cert },
      pairOf({ dns: ["a"], notBeforeMs: -7e6, notAfterMs: -3e6 }),
      /certificate has expired:TLS_error_end$/,
    ],
    [
      "a certificate for clients only",
      { trustedCa: ca.cert },
      pairOf({ dns: ["a"], usages: ["client"] }),
      /unsupported certificate purpose/,
    ],
    ["a wrong pin", { trustedCa: ca.cert, verifyCertificateHash: ["00".repeat(32)] }, {}, `${verify}cert hash and spki:TLS_error_end`],
    [
      "two SPIFFE ids",
      { trustedCa: ca.cert, matchSubjectAltNames: uri(serverSpiffe) },
      pairOf({ uri: [serverSpiffe, "spiffe://cluster.local/ns/x/sa/y"] }),
      /SAN matcher/,
    ],
    [
      "a SAN with a NUL in it",
      { trustedCa: ca.cert, matchSubjectAltNames: uri(serverSpiffe) },
      pairOf({ uri: [`${serverSpiffe}\0.evil`] }),
      /SAN matcher/,
    ],
    [
      "a server of TLS 1.1",
      { trustedCa: ca.cert },
      { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT:@SECLEVEL=0" },
      /TLSV1_ALERT_PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/,
    ],
    [
      "a server that wants another client certificate",
      { trustedCa: ca.cert },
      { maxVersion: "TLSv1.2", ca: [otherCa.cert], requestCert: true, rejectUnauthorized: true },
      /.*/,
    ],
  ];
  for (const [title, validated, server, reason] of failures) {
    test(`fails on ${title}`, async () => {
      const port = await tlsServer(server);
      const room = bench(overTls(port, upstreamTls(commonTls(undefined, { validation: validation(validated) }), { sni: "a.example.com" })));
      const outcome = await room.dial();
      assert.ok("error" in outcome);
      assert.deepEqual([outcome.error.code, outcome.error.retryable], ["upstream_tls_failed", true]);
      if (typeof reason === "string") assert.equal(outcome.error.reason, reason);
      else assert.match(outcome.error.reason ?? "", reason);
      assert.equal(room.value("upstream_cx_connect_fail"), 1);
    });
  }

  test("fails on a server that speaks no TLS, and on one that resets", async () => {
    const plain = await listen(createServer((socket) => void socket.on("error", () => {}).end("HTTP/1.1 400 Bad Request\r\n\r\n")));
    const first = await bench(overTls(plain, mesh())).dial();
    assert.ok("error" in first);
    assert.equal(first.error.reason, "TLS_error:|268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end");
    const resetting = await listen(
      createServer((socket) => void socket.on("error", () => {}).once("data", () => socket.resetAndDestroy())),
    );
    const second = await bench(overTls(resetting, mesh())).dial();
    assert.ok("error" in second);
    assert.equal(second.error.reason, "TLS_error:|33554536:system library:OPENSSL_internal:Connection reset by peer:TLS_error_end");
  });

  test("accepts what a pin or a SAN without CA vouches for, and anyone when nothing is asked", async () => {
    const port = await tlsServer();
    for (const [validated, isValidated] of [
      [validation({ matchSubjectAltNames: uri(serverSpiffe) }), true],
      [undefined, false],
    ] as const) {
      const outcome = await bench(
        overTls(port, upstreamTls(commonTls(undefined, validated === undefined ? {} : { validation: validated }))),
      ).dial();
      assert.ok("socket" in outcome);
      assert.equal(outcome.peer?.validated, isValidated);
      outcome.socket.destroy();
    }
  });

  test("a missing secret fails the connection and a published one lets it through; a rotated one is taken up", async () => {
    const seen: (string | undefined)[] = [];
    const port = await tlsServer({ ca: [ca.cert], requestCert: true }, (socket) => {
      seen.push(socket.getPeerX509Certificate()?.subjectAltName);
      socket.end();
    });
    const tls = upstreamTls(commonTls(undefined, { certificateSecrets: ["default"], validationSecret: "ROOTCA" }), { maxSessionKeys: 0 });
    const room = bench(overTls(port, tls));
    const early = await room.dial();
    assert.ok("error" in early);
    assert.equal(early.error.reason, "TLS error: Secret is not supplied by SDS");
    const publish = (version: string, uri: string): void => {
      const issued = ca.issue({ uri: [uri] });
      const certificate = { certificateChain: issued.chain, privateKey: issued.key };
      const set = [versionedSecret("default", version, { certificate }), versionedSecret("ROOTCA", "1", { validation: trusted })];
      room.secrets.apply({ set, removed: [] });
    };
    for (const [version, uri] of [
      ["1", "spiffe://first"],
      ["2", "spiffe://second"],
    ] as const) {
      publish(version, uri);
      const outcome = await room.dial();
      assert.ok("socket" in outcome);
      outcome.socket.resume();
      await closed(outcome.socket);
    }
    assert.deepEqual(seen, ["URI:spiffe://first", "URI:spiffe://second"]);
  });

  test("resumes sessions of the same name within one version, and verifies the peer all the same", async () => {
    const port = await tlsServer();
    const room = bench(overTls(port, mesh({ sni: "a.example.com" })));
    const connectOnce = async (sni?: string): Promise<boolean> => {
      const outcome = await room.dial(sni === undefined ? {} : { sni });
      assert.ok("socket" in outcome);
      assert.deepEqual(outcome.peer?.uriSans, [serverSpiffe]);
      const reused = (outcome.socket as TLSSocket).isSessionReused();
      outcome.socket.resume();
      await closed(outcome.socket);
      return reused;
    };
    assert.deepEqual([await connectOnce(), await connectOnce(), await connectOnce("b.example.com")], [false, true, false]);
  });

  test("unusable key material fails the connection and is said in the log", async () => {
    const port = await tlsServer();
    const broken = { certificateChain: serverCertificate.chain, privateKey: clientCertificate.key };
    const outcome = await bench(overTls(port, upstreamTls(commonTls(undefined, { certificates: [broken] })))).dial();
    assert.ok("error" in outcome);
    assert.match(outcome.error.reason ?? "", /^TLS error: .*key values mismatch/);
  });

  test("unknown cipher suites are left out with a warning", async () => {
    const port = await tlsServer({ maxVersion: "TLSv1.2" });
    const room = bench(
      overTls(port, upstreamTls(commonTls(undefined, { cipherSuites: ["[ECDHE-ECDSA-AES128-GCM-SHA256|NO-SUCH-SUITE]"] }))),
    );
    const outcome = await room.dial();
    assert.ok("socket" in outcome);
    assert.equal(outcome.peer?.cipher, "ECDHE-ECDSA-AES128-GCM-SHA256");
    assert.match(room.warnings.join(), /NO-SUCH-SUITE/);
    outcome.socket.destroy();
  });
});

function pairOf(options: Parameters<typeof ca.issue>[0]): TlsOptions {
  const issued = ca.issue(options);
  return { secureContext: createSecureContext({ cert: issued.chain, key: issued.key }), cert: issued.chain, key: issued.key };
}
