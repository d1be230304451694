// A gateway of a mesh directory that ends TLS, on real sockets: every mode, certificates by SNI, missing and changing Secrets.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { request } from "node:https";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { before, suite, test } from "node:test";
import type { TestContext } from "node:test";
import { connect } from "node:tls";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import { makeCa, type Issued, type TestCa } from "../support/certs.ts";
import { freePorts, startGateway } from "../support/gateway-proxy.ts";

// An address of this file's own, so that its ports are nobody else's.
const address = "127.83.0.1";
const node = `router~${address}~ingress.edge~edge.svc.cluster.local`;

interface Ports {
  readonly https: number;
  readonly tls: number;
  readonly tcp: number;
}

/** Secrets of the gateway's namespace, keys to PEM. */
type Secrets = Readonly<Record<string, Readonly<Record<string, string>>>>;

const secretFile = (secrets: Secrets, namespace = "edge"): string =>
  Object.entries(secrets)
    .map(([name, data]) =>
      JSON.stringify({
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name, namespace },
        data: Object.fromEntries(Object.entries(data).map(([key, pem]) => [key, Buffer.from(pem).toString("base64")])),
      }),
    )
    .join("\n---\n");

const keyPair = (issued: Issued): Readonly<Record<string, string>> => ({ "tls.crt": issued.chain, "tls.key": issued.key });

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly clientCertificate: string;
}

suite("a gateway that ends TLS", { timeout: 120_000 }, () => {
  let ca: TestCa;
  let clients: TestCa;
  let mesh: TestCa;
  before(() => {
    [ca, clients, mesh] = [makeCa("servers"), makeCa("clients"), makeCa("mesh")];
  });

  async function start(
    t: TestContext,
    servers: (ports: Ports) => readonly object[],
    secrets: Secrets,
    more: Readonly<Record<string, string>> = {},
  ) {
    const [https = 0, tls = 0, tcp = 0] = await freePorts(address, 3);
    const ports = { https, tls, tcp };
    const http = createHttpServer((incoming, response) => {
      response.end(`${incoming.headers.host} ${incoming.url} ${String(incoming.headers["x-forwarded-client-cert"] ?? "")}`);
    }).listen(0, "127.0.0.1");
    const echo = createServer((socket) => socket.on("error", () => undefined).pipe(socket)).listen(0, "127.0.0.1");
    await Promise.all([once(http, "listening"), once(echo, "listening")]);
    t.after(() => {
      http.closeAllConnections();
      http.close();
      echo.close();
    });
    const identity = mesh.issue({ uri: ["spiffe://cluster.local/ns/edge/sa/ingress"] });
    const objects = [
      {
        kind: "ServiceEntry",
        metadata: { name: "app", namespace: "edge" },
        spec: {
          hosts: ["app.internal"],
          location: "MESH_EXTERNAL",
          resolution: "STATIC",
          ports: [
            { number: 80, name: "http", protocol: "HTTP" },
            { number: 9000, name: "tcp", protocol: "TCP" },
          ],
          addresses: ["240.9.9.9"],
          endpoints: [
            { address: "127.0.0.1", ports: { http: (http.address() as AddressInfo).port, tcp: (echo.address() as AddressInfo).port } },
          ],
        },
      },
      { kind: "Gateway", metadata: { name: "edge", namespace: "edge" }, spec: { selector: { app: "edge" }, servers: servers(ports) } },
      {
        kind: "VirtualService",
        metadata: { name: "app", namespace: "edge" },
        spec: {
          hosts: ["*"],
          gateways: ["edge"],
          http: [{ route: [{ destination: { host: "app.internal", port: { number: 80 } } }] }],
          tcp: [{ route: [{ destination: { host: "app.internal", port: { number: 9000 } } }] }],
        },
      },
    ];
    const running = await startGateway(
      t,
      {
        "meshconfig.yaml": "trustDomain: cluster.local\n",
        "istio/edge.yaml": objects.map((object) => JSON.stringify({ apiVersion: "networking.istio.io/v1", ...object })).join("\n---\n"),
        "k8s/one/secrets.yaml": secretFile(secrets),
        ...more,
      },
      {
        node,
        labels: "app=edge",
        cluster: "one",
        metadata: { INTERCEPTION_MODE: "NONE" },
        certificates: { "cert-chain.pem": identity.chain, "key.pem": identity.key, "root-cert.pem": mesh.cert },
      },
    );
    return { ports, running };
  }

  const get = (port: number, servername: string, options: ConnectionOptions = {}): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const sent = request(
        {
          host: address,
          port,
          servername,
          path: "/x",
          headers: { host: servername },
          ca: ca.cert,
          agent: false,
          timeout: 10_000,
          ...options,
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("end", () => {
            const [, , xfcc = ""] = Buffer.concat(chunks).toString().split(" ");
            resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString(), clientCertificate: xfcc });
          });
        },
      );
      sent.on("error", reject);
      sent.end();
    });

  const dial = async (port: number, servername: string, options: ConnectionOptions = {}): Promise<TLSSocket> => {
    const socket = connect({ host: address, port, servername, ca: ca.cert, ...options });
    socket.setTimeout(10_000, () => socket.destroy(new Error("timed out")));
    await once(socket, "secureConnect");
    return socket;
  };

  const client = (): { readonly cert: string; readonly key: string } => {
    const { chain, key } = clients.issue({ dns: ["client.example.com"] });
    return { cert: chain, key };
  };

  test("SIMPLE: requests of one host, the certificate of each host by SNI on one port, none for a host of nobody", async (t) => {
    const server = (port: number, host: string, credentialName: string): object => ({
      port: { number: port, name: `https-${host}`, protocol: "HTTPS" },
      tls: { mode: "SIMPLE", credentialName },
      hosts: [host],
    });
    const { ports } = await start(t, ({ https }) => [server(https, "a.example.com", "a"), server(https, "*.b.example.com", "b")], {
      a: keyPair(ca.issue({ dns: ["a.example.com"] })),
      b: { cert: ca.issue({ dns: ["*.b.example.com"] }).chain, key: "" },
    });
    const answer = await get(ports.https, "a.example.com");
    assert.equal(answer.status, 200);
    assert.match(answer.body, /^a\.example\.com \/x /);
    // Secret b has no key: its host refuses, the other is served.
    await assert.rejects(get(ports.https, "x.b.example.com"));
    await assert.rejects(get(ports.https, "nobody.example.com"));
    const first = await dial(ports.https, "a.example.com");
    assert.equal(first.getPeerCertificate().subjectaltname, "DNS:a.example.com");
    first.destroy();
  });

  test("two hosts' certificates, and a third host as soon as its Secret is there; running connections never notice", async (t) => {
    const hosts = ["a.example.com", "b.example.com", "c.example.com"];
    const secrets = Object.fromEntries(hosts.slice(0, 2).map((host) => [host[0] ?? "", keyPair(ca.issue({ dns: [host] }))]));
    const { ports, running } = await start(
      t,
      ({ tls }) =>
        hosts.map((host) => ({
          port: { number: tls, name: `tls-${host}`, protocol: "TLS" },
          tls: { mode: "SIMPLE", credentialName: host[0] },
          hosts: [host],
        })),
      secrets,
    );
    const held: TLSSocket[] = [];
    for (const host of hosts.slice(0, 2)) {
      const socket = await dial(ports.tls, host);
      assert.equal(socket.getPeerCertificate().subjectaltname, `DNS:${host}`);
      held.push(socket);
    }
    await assert.rejects(dial(ports.tls, "c.example.com"));
    const renewed = ca.issue({ dns: ["a.example.com", "renewed.example.com"] });
    const next = { ...secrets, a: keyPair(renewed), c: keyPair(ca.issue({ dns: ["c.example.com"] })) };
    assert.equal(await running.change({ "k8s/one/secrets.yaml": secretFile(next) }), true);
    const third = await dial(ports.tls, "c.example.com");
    const again = await dial(ports.tls, "a.example.com");
    assert.equal(again.getPeerCertificate().subjectaltname, "DNS:a.example.com, DNS:renewed.example.com");
    for (const socket of [...held, third, again]) {
      socket.write("still here");
      const [bytes] = (await once(socket, "data")) as [Buffer];
      assert.equal(bytes.toString(), "still here");
      socket.destroy();
    }
    // A Secret whose key is another's is refused by itself, and what was in force stays.
    const broken = { ...next, a: { ...keyPair(renewed), "tls.key": ca.issue().key } };
    assert.equal(await running.change({ "k8s/one/secrets.yaml": secretFile(broken) }), false);
    (await dial(ports.tls, "a.example.com")).destroy();
  });

  test("MUTUAL refuses a client without certificate, of another authority or with another name", async (t) => {
    const { ports } = await start(
      t,
      ({ https }) => [
        {
          port: { number: https, name: "https", protocol: "HTTPS" },
          tls: { mode: "MUTUAL", credentialName: "a", subjectAltNames: ["client.example.com"] },
          hosts: ["*"],
        },
      ],
      { a: keyPair(ca.issue({ dns: ["a.example.com"] })), "a-cacert": { cacert: clients.cert } },
    );
    const answer = await get(ports.https, "a.example.com", client());
    assert.equal(answer.status, 200);
    assert.match(answer.clientCertificate, /DNS=client\.example\.com/);
    await assert.rejects(get(ports.https, "a.example.com"));
    const named = (issued: Issued): ConnectionOptions => ({ cert: issued.chain, key: issued.key });
    await assert.rejects(get(ports.https, "a.example.com", named(ca.issue({ dns: ["client.example.com"] }))));
    await assert.rejects(get(ports.https, "a.example.com", named(clients.issue({ dns: ["other.example.com"] }))));
  });

  test("a Secret's staple is shown, and its revocation lists hold for clients and for the authorities between", async (t) => {
    const issuer = clients.intermediate("clients of one cluster");
    const own = issuer.issue({ dns: ["client.example.com"] });
    const other = issuer.issue({ dns: ["other.example.com"] });
    const server = ca.issue({ dns: ["a.example.com"] });
    const staple = ca.vouchFor(server.cert, Date.now() + 3_600_000);
    const base64 = (text: string): string => Buffer.from(text).toString("base64");
    const secrets = (...lists: readonly string[]): Readonly<Record<string, string>> => ({
      "k8s/one/secrets.yaml": [
        {
          name: "a",
          data: { "tls.crt": base64(server.chain), "tls.key": base64(server.key), "tls.ocsp-staple": staple.toString("base64") },
        },
        { name: "a-cacert", data: { "ca.crt": base64(clients.cert), "ca.crl": base64(lists.join("")) } },
      ]
        .map(({ name, data }) => JSON.stringify({ apiVersion: "v1", kind: "Secret", metadata: { name, namespace: "edge" }, data }))
        .join("\n---\n"),
    });
    const { ports, running } = await start(
      t,
      ({ https }) => [
        { port: { number: https, name: "https", protocol: "HTTPS" }, tls: { mode: "MUTUAL", credentialName: "a" }, hosts: ["*"] },
      ],
      {},
      secrets(clients.revoke(), issuer.revoke(other.cert)),
    );
    const named = ({ chain, key }: Issued): ConnectionOptions => ({ cert: chain, key });
    const isServed = (issued: Issued): Promise<boolean> =>
      get(ports.https, "a.example.com", named(issued)).then(
        ({ status }) => status === 200,
        () => false,
      );
    const socket = connect({
      host: address,
      port: ports.https,
      servername: "a.example.com",
      ca: ca.cert,
      requestOCSP: true,
      ...named(own),
    });
    const [shown] = (await once(socket, "OCSPResponse")) as [Buffer];
    socket.destroy();
    assert.deepEqual(shown, staple);

    const cases: readonly (readonly [title: string, lists: readonly string[], ownServed: boolean, otherServed: boolean])[] = [
      ["the other client is revoked", [clients.revoke(), issuer.revoke(other.cert)], true, false],
      ["nobody is revoked", [clients.revoke(), issuer.revoke()], true, true],
      ["the authority between is revoked", [clients.revoke(issuer.cert), issuer.revoke()], false, false],
      ["the list of the authority between is missing", [clients.revoke()], false, false],
    ];
    for (const [title, lists, ...expected] of cases) {
      assert.equal(await running.change(secrets(...lists)), true, title);
      assert.deepEqual([await isServed(own), await isServed(other)], expected, title);
    }
  });

  test("OPTIONAL_MUTUAL takes clients with and without certificate, but none of another authority", async (t) => {
    const { ports } = await start(
      t,
      ({ https }) => [
        { port: { number: https, name: "https", protocol: "HTTPS" }, tls: { mode: "OPTIONAL_MUTUAL", credentialName: "a" }, hosts: ["*"] },
      ],
      { a: { ...keyPair(ca.issue({ dns: ["a.example.com"] })), "ca.crt": clients.cert } },
    );
    assert.match((await get(ports.https, "a.example.com", client())).clientCertificate, /DNS=client\.example\.com/);
    const without = await get(ports.https, "a.example.com");
    assert.deepEqual([without.status, without.clientCertificate], [200, ""]);
    const { chain, key } = ca.issue({ dns: ["client.example.com"] });
    await assert.rejects(get(ports.https, "a.example.com", { cert: chain, key }));
  });

  test("ISTIO_MUTUAL shows the workload's certificate and wants one of the mesh", async (t) => {
    const { ports } = await start(
      t,
      ({ tls }) => [{ port: { number: tls, name: "tls", protocol: "TLS" }, tls: { mode: "ISTIO_MUTUAL" }, hosts: ["*"] }],
      {},
    );
    const { chain, key } = mesh.issue({ uri: ["spiffe://cluster.local/ns/a/sa/b"] });
    const accepting: ConnectionOptions = { ca: mesh.cert, checkServerIdentity: () => undefined };
    const socket = await dial(ports.tls, "any.example.com", { ...accepting, cert: chain, key });
    assert.equal(socket.getPeerCertificate().subjectaltname, "URI:spiffe://cluster.local/ns/edge/sa/ingress");
    socket.write("ping");
    assert.equal(String(((await once(socket, "data")) as [Buffer])[0]), "ping");
    socket.destroy();
    const stranger = connect({ host: address, port: ports.tls, servername: "any.example.com", ...accepting });
    // TLS 1.3 tells a client that it is refused only after its own side is done.
    stranger.on("secureConnect", () => stranger.write("ping"));
    const got = await new Promise<string>((resolve) => {
      stranger
        .on("data", () => resolve("data"))
        .on("error", () => resolve("refused"))
        .on("close", () => resolve("refused"));
    });
    assert.equal(got, "refused");
  });

  test("a TLS version below the smallest is refused, one above the largest is not used", async (t) => {
    const { ports } = await start(
      t,
      ({ https, tls }) => [
        {
          port: { number: https, name: "https", protocol: "HTTPS" },
          tls: { mode: "SIMPLE", credentialName: "a", minProtocolVersion: "TLSV1_3" },
          hosts: ["*"],
        },
        {
          port: { number: tls, name: "tls", protocol: "TLS" },
          tls: { mode: "SIMPLE", credentialName: "a", maxProtocolVersion: "TLSV1_2", cipherSuites: ["ECDHE-ECDSA-AES256-GCM-SHA384"] },
          hosts: ["*"],
        },
      ],
      { a: keyPair(ca.issue({ dns: ["a.example.com"] })) },
    );
    await assert.rejects(dial(ports.https, "a.example.com", { maxVersion: "TLSv1.2" }));
    const newest = await dial(ports.https, "a.example.com");
    assert.equal(newest.getProtocol(), "TLSv1.3");
    const older = await dial(ports.tls, "a.example.com");
    assert.deepEqual([older.getProtocol(), older.getCipher().name], ["TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"]);
    for (const socket of [newest, older]) socket.destroy();
    await assert.rejects(dial(ports.tls, "a.example.com", { ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256" }));
  });

  test("certificates of different keys: by SNI, and of one host's several by what the client can verify", async (t) => {
    const server = (port: number, host: string, tls: object): object => ({
      port: { number: port, name: `https-${host}`, protocol: "HTTPS" },
      tls: { mode: "SIMPLE", ...tls },
      hosts: [host],
    });
    const { ports } = await start(
      t,
      ({ https }) => [
        server(https, "rsa.example.com", { credentialName: "rsa" }),
        server(https, "ec.example.com", { credentialName: "ec" }),
        server(https, "both.example.com", { credentialNames: ["both-rsa", "both-ec"] }),
      ],
      {
        rsa: keyPair(ca.issue({ dns: ["rsa.example.com"], keyType: "rsa" })),
        ec: keyPair(ca.issue({ dns: ["ec.example.com"] })),
        "both-rsa": keyPair(ca.issue({ dns: ["both.example.com"], keyType: "rsa" })),
        "both-ec": keyPair(ca.issue({ dns: ["both.example.com"] })),
      },
    );
    const shown = async (host: string, options: ConnectionOptions = {}): Promise<string> => {
      const socket = await dial(ports.https, host, options);
      const { subjectaltname, asn1Curve } = socket.getPeerCertificate();
      socket.destroy();
      return `${subjectaltname} ${asn1Curve === undefined ? "RSA" : "ECDSA"}`;
    };
    // A client that verifies RSA alone says so by signature algorithms, in TLS 1.2 by its suites as well.
    const onlyRsa = [{ sigalgs: "rsa_pss_rsae_sha256" }, { maxVersion: "TLSv1.2", ciphers: "ECDHE-RSA-AES128-GCM-SHA256" }] as const;
    const onlyEc = [{ sigalgs: "ecdsa_secp256r1_sha256" }, { maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256" }] as const;
    assert.equal(await shown("rsa.example.com"), "DNS:rsa.example.com RSA");
    assert.equal(await shown("ec.example.com"), "DNS:ec.example.com ECDSA");
    assert.equal(await shown("both.example.com"), "DNS:both.example.com ECDSA");
    // The authority's own signatures are ECDSA, so its certificate is left for the test to trust.
    for (const options of onlyRsa)
      assert.equal(await shown("both.example.com", { rejectUnauthorized: false, ...options }), "DNS:both.example.com RSA");
    for (const options of onlyEc) assert.equal(await shown("both.example.com", options), "DNS:both.example.com ECDSA");
    for (const options of onlyRsa) await assert.rejects(dial(ports.https, "ec.example.com", { rejectUnauthorized: false, ...options }));
    for (const options of onlyEc) await assert.rejects(dial(ports.https, "rsa.example.com", options));
  });

  test("a Secret of another namespace is none of the gateway's", async (t) => {
    const { ports } = await start(
      t,
      ({ tls }) => [{ port: { number: tls, name: "tls", protocol: "TLS" }, tls: { mode: "SIMPLE", credentialName: "a" }, hosts: ["*"] }],
      {},
      { "k8s/one/others.yaml": secretFile({ a: keyPair(ca.issue({ dns: ["a.example.com"] })) }, "elsewhere") },
    );
    await assert.rejects(dial(ports.tls, "a.example.com"));
  });
});
