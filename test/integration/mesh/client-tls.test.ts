// DestinationRule tls on real sockets: a gateway calls TLS servers outside the mesh in every mode, with certificates from files and
// Secrets, and what it says in the access log where a server is not who it should be.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, suite, test } from "node:test";
import type { TestContext } from "node:test";
import type { TLSSocket } from "node:tls";
import { makeCa, type Issued, type TestCa } from "../../support/certs.ts";
import { freePorts, startGateway, type RunningGateway } from "../../support/gateway-proxy.ts";

const address = "127.83.9.1";
const node = `router~${address}~egress.edge~edge.svc.cluster.local`;
const patienceMs = 5000;

type Record_ = Readonly<Record<string, unknown>>;

/** What the server saw. */
interface Answer {
  readonly status: number;
  readonly sni: string;
  readonly client: string;
}

interface Egress {
  readonly running: RunningGateway;
  /** Certificates of the test; the path of a file in it. */
  path(name: string): string;
  get(host: string, port?: number): Promise<Answer>;
  /** The last access-log record once there are `count`. */
  record(count: number): Promise<Record_>;
}

const rule = (host: string, trafficPolicy: object, more: object = {}): object => ({
  kind: "DestinationRule",
  metadata: { name: host, namespace: "edge" },
  spec: { host, trafficPolicy, ...more },
});

const secret = (name: string, data: Readonly<Record<string, string>>): string =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace: "edge" },
    data: Object.fromEntries(Object.entries(data).map(([key, pem]) => [key, Buffer.from(pem).toString("base64")])),
  });

suite("DestinationRule tls", { timeout: 120_000 }, () => {
  let world: TestCa;
  let clients: TestCa;
  before(() => {
    [world, clients] = [makeCa("world"), makeCa("clients")];
  });

  /** A TLS server that asks for a client certificate and tells what it got. */
  async function startServer(t: TestContext, certificate: Issued): Promise<number> {
    const server = createServer(
      { cert: certificate.chain, key: certificate.key, ca: clients.cert, requestCert: true, rejectUnauthorized: false },
      ({ socket }, response) => {
        const tls = socket as TLSSocket;
        const sni = (tls as TLSSocket & { servername: string | false }).servername || "none";
        response.setHeader("x-client", tls.authorized ? (tls.getPeerCertificate().subjectaltname ?? "") : "none");
        // A kept connection has the certificates it was made with.
        response.setHeader("x-sni", sni).setHeader("connection", "close").end("ok");
      },
    ).listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    return (server.address() as AddressInfo).port;
  }

  async function startEgress(
    t: TestContext,
    server: Issued,
    rules: (path: (name: string) => string) => readonly object[],
    files: Readonly<Record<string, string>>,
    secrets: readonly string[] = [],
  ): Promise<Egress> {
    const folder = await mkdtemp(join(tmpdir(), "isthmus-client-tls-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const path = (name: string): string => join(folder, name);
    for (const [name, text] of Object.entries(files)) await writeFile(path(name), text);
    const [first = 0, second = 0] = await freePorts(address, 2);
    const port = await startServer(t, server);
    const log = path("access.log");
    const hosts = [...new Set(rules(path).map((each) => (each as { spec: { host: string } }).spec.host))];
    const objects = [
      ...hosts.map((host, index) => ({
        kind: "ServiceEntry",
        metadata: { name: host, namespace: "edge" },
        spec: {
          hosts: [host],
          location: "MESH_EXTERNAL",
          resolution: "STATIC",
          ports: [
            { number: 80, name: "http", protocol: "HTTP" },
            { number: 81, name: "http-too", protocol: "HTTP" },
          ],
          addresses: [`240.9.9.${index + 1}`],
          endpoints: [{ address: "127.0.0.1", ports: { http: port, "http-too": port }, labels: { version: "v2" } }],
        },
      })),
      ...rules(path),
      {
        kind: "Gateway",
        metadata: { name: "egress", namespace: "edge" },
        spec: {
          selector: { app: "egress" },
          servers: [first, second].map((number) => ({ port: { number, name: `http-${number}`, protocol: "HTTP" }, hosts: ["*"] })),
        },
      },
      ...hosts.map((host) => ({
        kind: "VirtualService",
        metadata: { name: host, namespace: "edge" },
        spec: {
          hosts: [host],
          gateways: ["egress"],
          http: [
            { match: [{ uri: { prefix: "/v2" } }], route: [{ destination: { host, subset: "v2", port: { number: 80 } } }] },
            { match: [{ port: second }], route: [{ destination: { host, port: { number: 81 } } }] },
            { route: [{ destination: { host, port: { number: 80 } } }] },
          ],
        },
      })),
    ];
    const format = { flags: "%RESPONSE_FLAGS%", reason: "%UPSTREAM_TRANSPORT_FAILURE_REASON%", peer: "%UPSTREAM_PEER_DNS_SAN%" };
    const running = await startGateway(
      t,
      {
        "meshconfig.yaml": `accessLogFile: ${log}\naccessLogEncoding: JSON\naccessLogFormat: '${JSON.stringify(format)}'\n`,
        "istio/egress.yaml": objects.map((object) => JSON.stringify({ apiVersion: "networking.istio.io/v1", ...object })).join("\n---\n"),
        "k8s/one/secrets.yaml": secrets.join("\n---\n"),
      },
      { node, labels: "app=egress", cluster: "one" },
    );
    const get = (host: string, listener = first, target = "/"): Promise<Answer> =>
      new Promise((resolve, reject) => {
        const sent = request({ host: address, port: listener, path: target, headers: { host }, agent: false }, (response) => {
          response.resume();
          const { headers } = response;
          response.on("end", () =>
            resolve({
              status: response.statusCode ?? 0,
              sni: String(headers["x-sni"] ?? ""),
              client: String(headers["x-client"] ?? ""),
            }),
          );
        });
        sent.on("error", reject);
        sent.setTimeout(10_000, () => sent.destroy(new Error("timed out")));
        sent.end();
      });
    return {
      running,
      path,
      get: (host, choice = 0) => (choice === 2 ? get(host, first, "/v2") : get(host, choice === 1 ? second : first)),
      record: async (count) => {
        for (const deadline = Date.now() + patienceMs; Date.now() < deadline;) {
          const lines = (await readFile(log, "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
          if (lines.length >= count) return JSON.parse(lines[count - 1] ?? "") as Record_;
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
        throw new Error(`no ${count} access-log records`);
      },
    };
  }

  const ok = (sni: string, client = "none"): Answer => ({ status: 200, sni, client });

  test("SIMPLE: the request's host is sent and must be in the certificate, unless the rule names others", async (t) => {
    const server = world.issue({ dns: ["a.test", "*.b.test"], uri: ["spiffe://world/ns/a/sa/b"] });
    const simple = { mode: "SIMPLE" };
    const { get, record } = await startEgress(
      t,
      server,
      (path) => [
        rule("a.test", { tls: { ...simple, caCertificates: path("ca.pem") } }),
        rule("x.b.test", { tls: { ...simple, caCertificates: path("ca.pem") } }),
        rule("c.test", { tls: { ...simple, caCertificates: path("ca.pem") } }),
        rule("d.test", { tls: { ...simple, caCertificates: path("ca.pem"), sni: "other.test" } }),
        rule("e.test", { tls: { ...simple, caCertificates: path("ca.pem"), subjectAltNames: ["spiffe://world/ns/a/sa/b"] } }),
        rule("f.test", { tls: { ...simple, caCertificates: path("ca.pem"), sni: "a.test", subjectAltNames: ["f.test"] } }),
        rule("g.test", { tls: { ...simple } }),
        rule("h.test", { tls: { ...simple, insecureSkipVerify: true } }),
      ],
      { "ca.pem": world.cert },
    );
    assert.deepEqual(await get("a.test"), ok("a.test"));
    assert.deepEqual(await get("x.b.test"), ok("x.b.test"));
    assert.equal((await get("c.test")).status, 503);
    const mismatch = await record(3);
    assert.equal(mismatch["flags"], "URX,UF");
    assert.match(
      String(mismatch["reason"]),
      /^TLS_error:.*CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_verify_SAN_list,_expected_SANs:_\[c\.test\]/,
    );
    assert.deepEqual(await get("d.test"), ok("other.test"));
    assert.deepEqual(await get("e.test"), ok("e.test"));
    assert.equal((await get("f.test")).status, 503);
    assert.match(
      String((await record(6))["reason"]),
      /SAN_matcher,_certificate_SANs_are_\[spiffe:\/\/world\/ns\/a\/sa\/b,_a\.test,_\*\.b\.test\]/,
    );
    // The roots of the machine do not know the test's authority; whoever skips the check does not ask them.
    assert.equal((await get("g.test")).status, 503);
    assert.match(String((await record(7))["reason"]), /unable_to_get_local_issuer_certificate/);
    assert.deepEqual(await get("h.test"), ok("h.test"));
  });

  test("MUTUAL with files: the client's certificate goes along, and rotated files are read again", async (t) => {
    const server = world.issue({ dns: ["a.test"] });
    const first = clients.issue({ dns: ["first.test"] });
    const { get, running, path } = await startEgress(
      t,
      server,
      (at) => [
        rule("a.test", {
          tls: { mode: "MUTUAL", clientCertificate: at("c.pem"), privateKey: at("k.pem"), caCertificates: at("ca.pem") },
        }),
      ],
      { "ca.pem": world.cert, "c.pem": first.chain, "k.pem": first.key },
    );
    assert.deepEqual(await get("a.test"), ok("a.test", "DNS:first.test"));
    const second = clients.issue({ dns: ["second.test"] });
    await writeFile(path("c.pem"), second.chain);
    await writeFile(path("k.pem"), second.key);
    assert.equal(await running.change({}), true);
    for (const deadline = Date.now() + patienceMs; (await get("a.test")).client !== "DNS:second.test";)
      assert.ok(Date.now() < deadline, "the old certificate is still shown");
    // What is half written is refused, and what was there goes on.
    await writeFile(path("k.pem"), first.key);
    assert.equal(await running.change({}), false);
    assert.deepEqual(await get("a.test"), ok("a.test", "DNS:second.test"));
  });

  test("credentialName: Secrets of the proxy's own namespace, authorities beside them or apart", async (t) => {
    const server = world.issue({ dns: ["a.test", "b.test", "c.test", "d.test"] });
    const { chain, key } = clients.issue({ dns: ["client.test"] });
    const { get, running } = await startEgress(
      t,
      server,
      () => [
        rule("a.test", { tls: { mode: "MUTUAL", credentialName: "both" } }),
        rule("b.test", { tls: { mode: "MUTUAL", credentialName: "apart" } }),
        rule("c.test", { tls: { mode: "SIMPLE", credentialName: "apart" } }),
        rule("d.test", { tls: { mode: "SIMPLE", credentialName: "missing" } }),
      ],
      {},
      [
        secret("both", { "tls.crt": chain, "tls.key": key, "ca.crt": world.cert }),
        secret("apart", { cert: chain, key }),
        secret("apart-cacert", { cacert: world.cert }),
      ],
    );
    assert.deepEqual(await get("a.test"), ok("a.test", "DNS:client.test"));
    assert.deepEqual(await get("b.test"), ok("b.test", "DNS:client.test"));
    assert.deepEqual(await get("c.test"), ok("c.test"));
    assert.equal((await get("d.test")).status, 503);
    const more = [secret("both", { "tls.crt": chain, "tls.key": key, "ca.crt": clients.cert }), secret("missing", { cacert: world.cert })];
    await running.change({ "k8s/one/secrets.yaml": more.join("\n---\n") });
    for (const deadline = Date.now() + patienceMs; (await get("d.test")).status !== 200;)
      assert.ok(Date.now() < deadline, "the new Secret is not used");
  });

  test("settings of a port and of a subset go before those of the rule", async (t) => {
    const tls = (path: (name: string) => string, sni: string): object => ({
      tls: { mode: "SIMPLE", caCertificates: path("ca.pem"), sni, subjectAltNames: ["a.test"] },
    });
    const { get } = await startEgress(
      t,
      world.issue({ dns: ["a.test"] }),
      (path) => [
        rule(
          "a.test",
          { ...tls(path, "rule.test"), portLevelSettings: [{ port: { number: 81 }, ...tls(path, "port.test") }] },
          { subsets: [{ name: "v2", labels: { version: "v2" }, trafficPolicy: tls(path, "subset.test") }] },
        ),
      ],
      { "ca.pem": world.cert },
    );
    assert.deepEqual(
      [await get("a.test"), await get("a.test", 1), await get("a.test", 2)],
      ["rule", "port", "subset"].map((name) => ok(`${name}.test`)),
    );
  });

  test("a server whose certificate the revocation list names is refused, once the list does", async (t) => {
    const server = world.issue({ dns: ["a.test"] });
    const { get, record, running, path } = await startEgress(
      t,
      server,
      (at) => [rule("a.test", { tls: { mode: "SIMPLE", caCertificates: at("ca.pem"), caCrl: at("crl.pem") } })],
      { "ca.pem": world.cert, "crl.pem": world.revoke(world.issue().cert) },
    );
    assert.deepEqual(await get("a.test"), ok("a.test"));
    await writeFile(path("crl.pem"), world.revoke(server.cert));
    assert.equal(await running.change({}), true);
    let calls = 1;
    for (const deadline = Date.now() + patienceMs; ; calls++) {
      if ((await get("a.test")).status === 503) break;
      assert.ok(Date.now() < deadline, "the revoked certificate is still taken");
    }
    assert.match(
      String((await record(calls + 1))["reason"]),
      /certificate_verification_error_at_depth_0:_certificate_revocation_check_against_provided_CRLs_failed:_certificate_revoked/,
    );
  });
});
