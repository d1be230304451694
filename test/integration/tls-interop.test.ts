// TLS on the wire with other implementations, each where this machine has it: the real Envoy as client and as server with the mesh's
// certificates and protocols, and openssl. Envoy's words for a refused peer are compared with ours.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { makeCa, type Issued, type TestCa } from "../support/certs.ts";
import { freePorts } from "../support/gateway-proxy.ts";
import { findPeer, startPeer } from "../support/peer-program.ts";
import { startTestProxy } from "../support/proxy.ts";

const host = "127.0.0.1";
const envoy = findPeer("envoy", ["--version"]);
const openssl = findPeer("openssl", ["version"]);
const skipEnvoy = "missing" in envoy ? envoy.missing : false;
const skipOpenssl = "missing" in openssl ? openssl.missing : false;

const ca = makeCa("interop mesh");
const other = makeCa("interop other");
const identity = (account: string, of: TestCa = ca, notAfterMs?: number): Issued =>
  of.issue({
    uri: [`spiffe://cluster.local/ns/default/sa/${account}`],
    dns: [`${account}.test`],
    ...(notAfterMs === undefined ? {} : { notAfterMs, notBeforeMs: notAfterMs - 3_600_000 }),
  });

type Json = Readonly<Record<string, unknown>>;
const typed = (type: string, fields: Json = {}): Json => ({ "@type": `type.googleapis.com/${type}`, ...fields });
const tlsType = "envoy.extensions.transport_sockets.tls.v3";
const meshAlpn = ["istio-peer-exchange", "istio", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

const certificates = ({ chain, key }: Issued): Json => ({
  tls_certificates: [{ certificate_chain: { inline_string: chain }, private_key: { inline_string: key } }],
});

interface ServerOptions {
  readonly own: Issued;
  readonly crl?: string;
  readonly names?: readonly Json[];
}

/** A listener as a PERMISSIVE sidecar has it; it says who called, by which certificate and protocol. */
function meshListener(port: number, log: string, { own, crl, names = [{ prefix: "spiffe://cluster.local/" }] }: ServerOptions): Json {
  return {
    name: "mesh",
    address: { socket_address: { address: host, port_value: port } },
    listener_filters: [{ name: "tls", typed_config: typed("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector") }],
    access_log: [fileLog(log, { reason: "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%" })],
    filter_chains: [
      {
        filter_chain_match: { transport_protocol: "tls", application_protocols: meshAlpn },
        transport_socket: {
          name: "tls",
          typed_config: typed(`${tlsType}.DownstreamTlsContext`, {
            require_client_certificate: true,
            common_tls_context: {
              ...certificates(own),
              alpn_protocols: ["h2", "http/1.1"],
              tls_params: { tls_minimum_protocol_version: "TLSv1_2", tls_maximum_protocol_version: "TLSv1_3" },
              validation_context: {
                trusted_ca: { inline_string: ca.cert },
                match_subject_alt_names: names,
                ...(crl === undefined ? {} : { crl: { inline_string: crl } }),
              },
            },
          }),
        },
        filters: [
          {
            name: "hcm",
            typed_config: typed("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", {
              stat_prefix: "mesh",
              codec_type: "HTTP1",
              route_config: {
                virtual_hosts: [
                  {
                    name: "all",
                    domains: ["*"],
                    routes: [{ match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: "ok" } } }],
                    response_headers_to_add: [
                      ["x-peer", "%DOWNSTREAM_PEER_URI_SAN%"],
                      ["x-hash", "%DOWNSTREAM_PEER_FINGERPRINT_256%"],
                      ["x-sni", "%REQUESTED_SERVER_NAME%"],
                      ["x-version", "%DOWNSTREAM_TLS_VERSION%"],
                    ].map(([key, value]) => ({ header: { key, value } })),
                  },
                ],
              },
              http_filters: [{ name: "router", typed_config: typed("envoy.extensions.filters.http.router.v3.Router") }],
            }),
          },
        ],
      },
    ],
  };
}

const fileLog = (path: string, fields: Json): Json => ({
  name: "file",
  typed_config: typed("envoy.extensions.access_loggers.file.v3.FileAccessLog", { path, log_format: { json_format: fields } }),
});

interface ClientOptions {
  readonly own?: Issued;
  readonly trust?: TestCa;
  readonly names?: readonly Json[];
  readonly alpn?: readonly string[];
  readonly crl?: string;
  readonly autoSan?: boolean;
  readonly maxVersion?: string;
}

/** A plaintext listener in front of a TLS cluster. */
function client(port: number, upstream: number, log: string, options: ClientOptions): Json {
  const {
    own,
    trust = ca,
    names = [],
    alpn = ["istio-http/1.1", "istio", "http/1.1"],
    crl,
    autoSan = false,
    maxVersion = "TLSv1_3",
  } = options;
  const listener = {
    name: "plain",
    address: { socket_address: { address: host, port_value: port } },
    filter_chains: [
      {
        filters: [
          {
            name: "hcm",
            typed_config: typed("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", {
              stat_prefix: "plain",
              access_log: [fileLog(log, { flags: "%RESPONSE_FLAGS%", reason: "%UPSTREAM_TRANSPORT_FAILURE_REASON%" })],
              route_config: {
                virtual_hosts: [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "tls" } }] }],
              },
              http_filters: [{ name: "router", typed_config: typed("envoy.extensions.filters.http.router.v3.Router") }],
            }),
          },
        ],
      },
    ],
  };
  const cluster = {
    name: "tls",
    type: "STATIC",
    connect_timeout: "5s",
    load_assignment: {
      cluster_name: "tls",
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: host, port_value: upstream } } } }] }],
    },
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed("envoy.extensions.upstreams.http.v3.HttpProtocolOptions", {
        explicit_http_config: { http_protocol_options: {} },
        ...(autoSan ? { upstream_http_protocol_options: { auto_sni: true, auto_san_validation: true } } : {}),
      }),
    },
    transport_socket: {
      name: "tls",
      typed_config: typed(`${tlsType}.UpstreamTlsContext`, {
        ...(autoSan ? {} : { sni: "outbound_.80_._.server.default.svc.cluster.local" }),
        common_tls_context: {
          ...(own === undefined ? {} : certificates(own)),
          alpn_protocols: alpn,
          tls_params: { tls_maximum_protocol_version: maxVersion },
          validation_context: {
            trusted_ca: { inline_string: trust.cert },
            ...(names.length === 0 ? {} : { match_subject_alt_names: names }),
            ...(crl === undefined ? {} : { crl: { inline_string: crl } }),
          },
        },
      }),
    },
  };
  return { static_resources: { listeners: [listener], clusters: [cluster] } };
}

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

function get(port: number, name = "server.test"): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sent = request({ host, port, headers: { host: name }, agent: false }, (response) => {
      let body = "";
      response.on("data", (chunk: Buffer) => (body += chunk.toString()));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    sent.setTimeout(10_000, () => sent.destroy(new Error("timed out")));
    sent.on("error", reject).end();
  });
}

type Kind = "isthmus" | "envoy";

suite("TLS with other implementations", { timeout: 180_000 }, () => {
  async function folderOf(t: TestContext): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), "isthmus-interop-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    return folder;
  }

  async function start(t: TestContext, kind: Kind, bootstrap: Json, port: number): Promise<void> {
    if (kind === "isthmus") return void (await startTestProxy(t, bootstrap));
    assert.ok("path" in envoy);
    const file = join(await folderOf(t), "envoy.json");
    await writeFile(file, JSON.stringify(bootstrap));
    const args = [
      "-c",
      file,
      "--concurrency",
      "1",
      "--use-dynamic-base-id",
      "--log-level",
      "error",
      "--drain-time-s",
      "1",
      "--file-flush-interval-msec",
      "50",
    ];
    await startPeer(t, envoy.path, args, { host, port });
  }

  async function lastRecord(log: string, accept: (record: Json) => boolean): Promise<Json> {
    for (const deadline = Date.now() + 15_000; Date.now() < deadline;) {
      const lines = (await readFile(log, "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
      const found = lines.map((line) => JSON.parse(line) as Json).findLast(accept);
      if (found !== undefined) return found;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`no such record in ${await readFile(log, "utf8").catch(String)}`);
  }

  for (const [from, to] of [
    ["isthmus", "envoy"],
    ["envoy", "isthmus"],
  ] as const) {
    for (const maxVersion of ["TLSv1_2", "TLSv1_3"]) {
      test(`mesh mTLS from ${from} to ${to}, ${maxVersion}, with ALPN as Istio's`, { skip: skipEnvoy }, async (t) => {
        const [front = 0, back = 0] = await freePorts(host, 2);
        const folder = await folderOf(t);
        const caller = identity("client");
        await start(
          t,
          to,
          { static_resources: { listeners: [meshListener(back, join(folder, "server.log"), { own: identity("server") })] } },
          back,
        );
        const names = [{ exact: "spiffe://cluster.local/ns/default/sa/server" }];
        await start(t, from, client(front, back, join(folder, "client.log"), { own: caller, names, maxVersion }), front);
        for (let call = 0; call < 3; call++) {
          const reply = await get(front);
          assert.equal(reply.status, 200);
          assert.deepEqual(
            [reply.headers["x-peer"], reply.headers["x-sni"], reply.headers["x-version"]],
            [
              "spiffe://cluster.local/ns/default/sa/client",
              "outbound_.80_._.server.default.svc.cluster.local",
              maxVersion.replace("_", "."),
            ],
          );
        }
      });
    }
  }

  // Each case is run through both proxies against one server, a listener of this proxy's or of Envoy's: what they say is the same.
  const cases: readonly (readonly [string, Issued, ClientOptions])[] = [
    ["another account", identity("somebody"), { names: [{ exact: "spiffe://cluster.local/ns/default/sa/server" }] }],
    ["another authority", identity("server", other), {}],
    ["an expired certificate", identity("server", ca, -3_600_000), {}],
    [
      "not a server's certificate",
      ca.issue({ dns: ["server.test"], uri: ["spiffe://cluster.local/ns/default/sa/server"], usages: ["client"] }),
      {},
    ],
    ["another name than the request's", identity("elsewhere"), { autoSan: true }],
  ];
  for (const [title, own, options] of cases) {
    test(`a server with ${title} is refused by both in the same words`, { skip: skipEnvoy }, async (t) => {
      const folder = await folderOf(t);
      const [back = 0, ours = 0, theirs = 0] = await freePorts(host, 3);
      // This proxy does not start with a certificate that expired.
      const server = title === "an expired certificate" ? "envoy" : "isthmus";
      await start(t, server, { static_resources: { listeners: [meshListener(back, join(folder, "server.log"), { own })] } }, back);
      const reasons: unknown[] = [];
      for (const [kind, port] of [
        ["isthmus", ours],
        ["envoy", theirs],
      ] as const) {
        const log = join(folder, `${kind}.log`);
        await start(t, kind, client(port, back, log, { own: identity("client"), ...options }), port);
        assert.equal((await get(port)).status, 503, kind);
        const record = await lastRecord(log, ({ flags }) => flags === "UF");
        reasons.push(record["reason"]);
      }
      assert.match(String(reasons[1]), /^TLS_error:/);
      assert.equal(reasons[0], reasons[1]);
    });
  }

  const clients: readonly (readonly [string, Issued | undefined, ServerOptions])[] = [
    ["of another authority", identity("client", other), { own: identity("server") }],
    ["without a certificate", undefined, { own: identity("server") }],
    ["with another name", identity("client"), { own: identity("server"), names: [{ prefix: "spiffe://other.local/" }] }],
    [
      "whose certificate is a server's",
      ca.issue({ uri: ["spiffe://cluster.local/ns/default/sa/client"], usages: ["server"] }),
      { own: identity("server") },
    ],
  ];
  const revoked = identity("client");
  const listed: typeof clients = [
    ["on the revocation list", revoked, { own: identity("server"), crl: ca.revoke(revoked.cert) }],
    ["whose authority has no revocation list", revoked, { own: identity("server"), crl: other.revoke() }],
  ];
  for (const [title, own, options] of [...clients, ...listed]) {
    test(`a client ${title} is refused by both in the same words`, { skip: skipEnvoy }, async (t) => {
      const folder = await folderOf(t);
      const [front = 0, ours = 0, theirs = 0, second = 0] = await freePorts(host, 4);
      const reasons: unknown[] = [];
      for (const [kind, port, plain] of [
        ["isthmus", ours, front],
        ["envoy", theirs, second],
      ] as const) {
        const log = join(folder, `${kind}.log`);
        await start(t, kind, { static_resources: { listeners: [meshListener(port, log, options)] } }, port);
        await start(t, "isthmus", client(plain, port, join(folder, `${kind}-client.log`), own === undefined ? {} : { own }), plain);
        assert.equal((await get(plain)).status, 503, kind);
        reasons.push((await lastRecord(log, ({ reason }) => String(reason).startsWith("TLS_error")))["reason"]);
      }
      assert.equal(reasons[0], reasons[1]);
    });
  }

  const record = (body: Buffer): Buffer => Buffer.concat([Buffer.from([22, 3, 1, body.length >> 8, body.length & 255]), body]);
  const long = Buffer.concat([Buffer.from([1, 0, 20_000 >> 8, 20_000 & 255, 3, 3]), Buffer.alloc(19_998)]);
  const withName = (name: string): Buffer => {
    const text = Buffer.from(name, "latin1");
    const entry = Buffer.concat([Buffer.from([0, text.length >> 8, text.length & 255]), text]);
    const list = Buffer.concat([Buffer.from([entry.length >> 8, entry.length & 255]), entry]);
    const extension = Buffer.concat([Buffer.from([0, 0, list.length >> 8, list.length & 255]), list]);
    const rest = Buffer.concat([
      Buffer.alloc(33),
      Buffer.from([0, 2, 0xc0, 0x2b, 1, 0, extension.length >> 8, extension.length & 255]),
      extension,
    ]);
    const body = Buffer.concat([Buffer.from([3, 3]), rest]);
    return record(Buffer.concat([Buffer.from([1, 0, body.length >> 8, body.length & 255]), body]));
  };
  for (const [title, hello] of [
    ["beyond 16 KB", Buffer.concat([record(long.subarray(0, 16_384)), record(long.subarray(16_384))])],
    ["with an empty server name", withName("")],
    ["with a server name that has a NUL", withName("a.test\0.evil")],
  ] as const) {
    test(`a ClientHello ${title} is refused by both in the same words`, { skip: skipEnvoy }, async (t) => {
      const folder = await folderOf(t);
      const reasons: unknown[] = [];
      const alerts: string[] = [];
      for (const kind of ["isthmus", "envoy"] as const) {
        const [port = 0] = await freePorts(host, 1);
        const log = join(folder, `${kind}.log`);
        // Without an inspector in front, so that it is the TLS library that has to say so.
        const mesh = meshListener(port, log, { own: identity("server") }) as { filter_chains: readonly Json[] } & Json;
        const [chain] = mesh.filter_chains;
        const { filter_chain_match: _match, transport_socket: _tls, ...plain } = chain ?? {};
        const socketType = typed(`${tlsType}.DownstreamTlsContext`, { common_tls_context: certificates(identity("server")) });
        const any = { ...plain, transport_socket: { name: "tls", typed_config: socketType } };
        await start(t, kind, { static_resources: { listeners: [{ ...mesh, listener_filters: [], filter_chains: [any] }] } }, port);
        const socket = connect(port, host);
        t.after(() => socket.destroy());
        socket.on("error", () => undefined);
        socket.write(hello);
        const [alert] = (await once(socket, "data")) as [Buffer];
        alerts.push(alert.subarray(5).toString("hex"));
        reasons.push((await lastRecord(log, ({ reason }) => String(reason).startsWith("TLS_error")))["reason"]);
      }
      assert.deepEqual([reasons[0], alerts[0]], [reasons[1], alerts[1]]);
    });
  }

  test("openssl s_client shakes hands in TLS 1.2 and 1.3, and is refused without a certificate", { skip: skipOpenssl }, async (t) => {
    assert.ok("path" in openssl);
    const folder = await folderOf(t);
    const own = identity("client");
    for (const [name, text] of Object.entries({ "c.pem": own.chain, "k.pem": own.key, "ca.pem": ca.cert }))
      await writeFile(join(folder, name), text);
    const [port = 0] = await freePorts(host, 1);
    await start(
      t,
      "isthmus",
      { static_resources: { listeners: [meshListener(port, join(folder, "server.log"), { own: identity("server") })] } },
      port,
    );
    const run = async (...more: readonly string[]): Promise<string> => {
      const args = [
        "s_client",
        "-connect",
        `${host}:${port}`,
        "-CAfile",
        join(folder, "ca.pem"),
        "-alpn",
        "istio-http/1.1,istio,http/1.1",
        "-ign_eof",
        ...more,
      ];
      const child = spawn(openssl.path, args, { stdio: ["pipe", "pipe", "pipe"], timeout: 20_000 });
      let output = "";
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
      child.stdin.on("error", () => undefined).write("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
      await once(child, "close");
      return output;
    };
    const certificate = ["-cert", join(folder, "c.pem"), "-key", join(folder, "k.pem")];
    for (const version of ["-tls1_2", "-tls1_3"]) {
      const output = await run(version, ...certificate, "-verify_return_error");
      assert.match(output, /Verify return code: 0 \(ok\)/);
      assert.match(output, /ALPN protocol: http\/1\.1/);
      assert.match(output, /HTTP\/1\.1 200 OK[^]*x-peer: spiffe:\/\/cluster\.local\/ns\/default\/sa\/client/);
      const refused = await run(version);
      assert.doesNotMatch(refused, /HTTP\/1\.1 200/);
      assert.match(refused, /alert (handshake failure|certificate required)/);
    }
  });

  test("openssl s_server is called with the client's certificate, and refused when it is another's", { skip: skipOpenssl }, async (t) => {
    assert.ok("path" in openssl);
    const folder = await folderOf(t);
    const own = identity("server");
    for (const [name, text] of Object.entries({ "c.pem": own.chain, "k.pem": own.key, "ca.pem": ca.cert }))
      await writeFile(join(folder, name), text);
    const [port = 0, front = 0, wrong = 0] = await freePorts(host, 3);
    const files = ["-cert", join(folder, "c.pem"), "-key", join(folder, "k.pem"), "-CAfile", join(folder, "ca.pem")];
    await startPeer(
      t,
      openssl.path,
      ["s_server", "-accept", `${host}:${port}`, ...files, "-Verify", "2", "-verify_return_error", "-www", "-quiet"],
      { host, port },
    );
    const names = (account: string): readonly Json[] => [{ exact: `spiffe://cluster.local/ns/default/sa/${account}` }];
    await start(t, "isthmus", client(front, port, join(folder, "a.log"), { own: identity("client"), names: names("server") }), front);
    const reply = await get(front);
    assert.equal(reply.status, 200);
    assert.match(reply.body, /Client certificate[^]*URI:spiffe:\/\/cluster\.local\/ns\/default\/sa\/client/);
    await start(t, "isthmus", client(wrong, port, join(folder, "b.log"), { own: identity("client"), names: names("other") }), wrong);
    assert.equal((await get(wrong)).status, 503);
  });
});
