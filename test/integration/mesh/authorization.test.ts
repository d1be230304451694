// AuthorizationPolicy and RequestAuthentication on real sockets: who gets through a sidecar, what refused clients are told, and what
// the log says of them.
import assert from "node:assert/strict";
import { constants, createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { suite, test, type TestContext } from "node:test";
import { connect as tlsConnect } from "node:tls";
import { type BoundMesh, type BoundProxy, sidecarAddress, startBoundProxy } from "../../support/bound-mesh.ts";
import { type Issued, makeCa } from "../../support/certs.ts";

const meshCa = makeCa("mesh");
const identity = (namespace: string, account: string): Issued =>
  meshCa.issue({ uri: [`spiffe://cluster.local/ns/${namespace}/sa/${account}`] });
const sleep = identity("default", "sleep");
const stranger = identity("elsewhere", "sleep");
const timeout = 30_000;

async function startApplication(t: TestContext): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    // Says what it got, so that a test sees the headers.
    socket.on("data", (data: Buffer) => {
      const body = data.toString("latin1");
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
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

interface Sidecar {
  readonly proxy: BoundProxy;
  readonly ports: { readonly http: number };
  /** What a request gets: all of the response, empty when the connection was closed. */
  ask(port: "http" | "tcp", head: string, as?: Issued): Promise<string>;
}

async function startSidecar(t: TestContext, subnet: string, policies: readonly string[]): Promise<Sidecar> {
  const numbers = { http: await startApplication(t), tcp: await startApplication(t) };
  const mesh: BoundMesh = {
    subnet,
    ports: [
      { name: "http", port: numbers.http },
      { name: "tcp", port: numbers.tcp },
    ],
    policies,
  };
  const proxy = await startBoundProxy(t, mesh, "httpbin", meshCa);
  const ask: Sidecar["ask"] = async (port, head, as) => {
    const raw = connect({ host: sidecarAddress(mesh), port: numbers[port] });
    raw.on("error", () => raw.destroy());
    const socket =
      as === undefined
        ? raw
        : tlsConnect({ socket: raw, rejectUnauthorized: false, cert: as.chain, key: as.key, ALPNProtocols: ["istio-http/1.1", "istio"] });
    socket.on("error", () => raw.destroy());
    socket.write(head);
    let received = "";
    await new Promise<void>((resolve) => {
      socket.on("data", (chunk: Buffer) => {
        received += chunk.toString("latin1");
        const end = received.indexOf("\r\n\r\n");
        const length = /content-length: (\d+)/i.exec(received)?.[1];
        if (end >= 0 && received.length >= end + 4 + Number(length ?? 0)) resolve();
      });
      raw.on("close", () => resolve());
    });
    raw.destroy();
    return received;
  };
  return { proxy, ports: numbers, ask };
}

const get = (path: string, fields = "", method = "GET"): string => `${method} ${path} HTTP/1.1\r\nhost: httpbin\r\n${fields}\r\n`;
const statusOf = (response: string): number => (response === "" ? 0 : Number(response.slice(9, 12)));
const policy = (name: string, spec: string, namespace = "default", annotations = ""): string =>
  `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: ${name}, namespace: ${namespace}${annotations}}\nspec: ${spec}\n`;
const requestAuthentication = (rules: readonly object[]): string =>
  `apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: jwt, namespace: default}\nspec: ${JSON.stringify({ jwtRules: rules })}\n`;

suite("AuthorizationPolicy", () => {
  test("an allow-nothing policy refuses everybody, and says so as Envoy does", { timeout }, async (t) => {
    const { ask, proxy } = await startSidecar(t, "127.78.0", [policy("deny-all", "{}")]);
    const response = await ask("http", get("/"), sleep);
    assert.match(response, /^HTTP\/1\.1 403 Forbidden\r\n/);
    assert.match(response, /\r\n\r\nRBAC: access denied$/);
    assert.equal(await ask("tcp", get("/"), sleep), "");
    const records = await proxy.records(2);
    assert.deepEqual(
      records.map(({ details, termination }) => [details, termination]),
      [
        ["rbac_access_denied_matched_policy[none]", null],
        [null, "rbac_access_denied_matched_policy[none]"],
      ],
    );
  });

  test("DENY before ALLOW, by identity, method, path and header; plaintext has no identity", { timeout }, async (t) => {
    const { ask, proxy } = await startSidecar(t, "127.78.1", [
      policy("callers", "{rules: [{from: [{source: {principals: [cluster.local/ns/default/sa/sleep]}}]}]}"),
      policy(
        "no-admin",
        "{action: DENY, rules: [{to: [{operation: {paths: ['/admin', '/admin/{**}']}}]}, {to: [{operation: {methods: [DELETE]}}], when: [{key: 'request.headers[x-sure]', notValues: ['yes']}]}]}",
        "istio-system",
      ),
    ]);
    const cases: readonly (readonly [head: string, as: Issued | undefined, status: number])[] = [
      [get("/"), sleep, 200],
      [get("/"), stranger, 403],
      [get("/"), undefined, 403],
      [get("/admin"), sleep, 403],
      [get("/x/../admin"), sleep, 403],
      [get("/admin/users"), sleep, 403],
      [get("/administer"), sleep, 200],
      [get("/", "", "DELETE"), sleep, 403],
      [get("/", "x-sure: yes\r\n", "DELETE"), sleep, 200],
    ];
    for (const [head, as, status] of cases) assert.equal(statusOf(await ask("http", head, as)), status, head);
    const details = (await proxy.records(cases.length)).map((record) => record["details"]);
    assert.equal(details[3], "rbac_access_denied_matched_policy[ns[istio-system]-policy[no-admin]-rule[0]]");
    assert.equal(details[1], "rbac_access_denied_matched_policy[none]");
  });

  test("TCP: rules about identities hold, and DENY rules over requests alone refuse everybody", { timeout }, async (t) => {
    const { ask, proxy } = await startSidecar(t, "127.78.2", [policy("callers", "{rules: [{from: [{source: {namespaces: [default]}}]}]}")]);
    assert.notEqual(await ask("tcp", get("/"), sleep), "");
    assert.equal(await ask("tcp", get("/"), stranger), "");
    assert.ok(await proxy.setPolicies([policy("no-get", "{action: DENY, rules: [{to: [{operation: {methods: [GET]}}]}]}")]));
    assert.equal(await ask("tcp", get("/"), sleep), "");
    assert.equal(statusOf(await ask("http", get("/", "", "POST"), sleep)), 200);
  });

  test("dry run counts what it would have done and refuses nobody", { timeout }, async (t) => {
    const { ask, proxy, ports } = await startSidecar(t, "127.78.3", [
      policy(
        "soon",
        "{action: DENY, rules: [{to: [{operation: {paths: [/soon]}}]}]}",
        "default",
        ", annotations: {istio.io/dry-run: 'true'}",
      ),
    ]);
    assert.equal(statusOf(await ask("http", get("/soon"), sleep)), 200);
    assert.equal(statusOf(await ask("http", get("/"), sleep)), 200);
    const scope = `http.inbound_0.0.0.0_${ports.http};.rbac.istio_dry_run_deny_`;
    assert.deepEqual([proxy.stat(`${scope}.shadow_denied`), proxy.stat(`${scope}.shadow_allowed`)], [1, 1]);
  });
});

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const jwk = { ...rsa.publicKey.export({ format: "jwk" }), kid: "k1", alg: "RS256", use: "sig" };
const encode = (value: unknown): string => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
const nowSeconds = (): number => Math.floor(Date.now() / 1000);
const claims = { iss: "https://issuer.test", sub: "alice", aud: "shop", groups: ["dev"], scope: "read write" };

function token(payload: unknown = claims, header: unknown = { alg: "RS256", kid: "k1" }, key: KeyObject = rsa.privateKey): string {
  const signed = `${encode(header)}.${encode(payload)}`;
  return `${signed}.${sign("sha256", Buffer.from(signed), key).toString("base64url")}`;
}

const hmac = (secret: string | Buffer, alg = "HS256"): string => {
  const signed = `${encode({ alg, kid: "k1" })}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
};
const bearer = (text: string): string => `authorization: Bearer ${text}\r\n`;

/** The same bytes in another spelling: the last character's bits that no byte needs are set. */
function respelled(text: string): string {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const last = alphabet.indexOf(text.at(-1)!);
  return text.slice(0, -1) + alphabet[last ^ 1]!;
}

suite("RequestAuthentication", () => {
  const rule = { issuer: claims.iss, jwks: JSON.stringify({ keys: [jwk] }), audiences: ["shop"] };

  test("no forged or damaged token passes", { timeout: 60_000 }, async (t) => {
    const { ask } = await startSidecar(t, "127.78.4", [
      requestAuthentication([rule]),
      policy("with-token", "{rules: [{from: [{source: {requestPrincipals: ['https://issuer.test/*']}}]}]}"),
    ]);
    const good = token();
    const [head = "", body = "", signature = ""] = good.split(".");
    const pem = rsa.publicKey.export({ type: "spki", format: "pem" }).toString();
    const other = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
    const cases: readonly (readonly [title: string, fields: string, status: number, body?: string])[] = [
      ["a good token", bearer(good), 200],
      ["no token", "", 403, "RBAC: access denied"],
      ["alg none", bearer(`${encode({ alg: "none" })}.${body}.`), 401, "Jwt is not in the form of Header.Payload.Signature"],
      [
        "alg none with a signature",
        bearer(`${encode({ alg: "none" })}.${body}.${signature}`),
        401,
        "Jwt header [alg] field value is invalid",
      ],
      ["alg NONE", bearer(`${encode({ alg: "NONE" })}.${body}.${signature}`), 401, "Jwt header [alg] field value is invalid"],
      ["the public key as an HMAC secret", bearer(hmac(pem)), 401, "Jwks doesn't have key to match kid or alg from Jwt"],
      [
        "the modulus as an HMAC secret",
        bearer(hmac(Buffer.from(String(jwk.n), "base64url"))),
        401,
        "Jwks doesn't have key to match kid or alg from Jwt",
      ],
      [
        "a key id that is not there",
        bearer(token(claims, { alg: "RS256", kid: "k2" })),
        401,
        "Jwks doesn't have key to match kid or alg from Jwt",
      ],
      [
        "a key id that leads elsewhere",
        bearer(token(claims, { alg: "RS256", kid: "../../dev/null" })),
        401,
        "Jwks doesn't have key to match kid or alg from Jwt",
      ],
      [
        "a key of its own in the header",
        bearer(token(claims, { alg: "RS256", kid: "k1", jwk: {}, jku: "http://evil.test", x5u: "http://evil.test" }, other)),
        401,
        "Jwt verification fails",
      ],
      ["another algorithm of the same key", bearer(pss()), 401, "Jwks doesn't have key to match kid or alg from Jwt"],
      ["another key", bearer(token(claims, undefined, other)), 401, "Jwt verification fails"],
      ["other claims", bearer(`${head}.${encode({ ...claims, sub: "root" })}.${signature}`), 401, "Jwt verification fails"],
      ["expired", bearer(token({ ...claims, exp: nowSeconds() - 120 })), 401, "Jwt is expired"],
      ["expired within the skew", bearer(token({ ...claims, exp: nowSeconds() - 30 })), 200],
      ["not valid yet", bearer(token({ ...claims, nbf: nowSeconds() + 120 })), 401, "Jwt not yet valid"],
      ["not valid yet, within the skew", bearer(token({ ...claims, nbf: nowSeconds() + 30 })), 200],
      ["expiry as text", bearer(token({ ...claims, exp: "9999999999" })), 401, "Jwt payload [exp] field is not an integer"],
      ["another issuer", bearer(token({ ...claims, iss: "https://evil.test" })), 401, "Jwt issuer is not configured"],
      ["another audience", bearer(token({ ...claims, aud: "bank" })), 403, "Audiences in Jwt are not allowed"],
      ["no audience", bearer(token({ iss: claims.iss, sub: "a" })), 403, "Audiences in Jwt are not allowed"],
      ["critical extensions", bearer(token(claims, { alg: "RS256", kid: "k1", crit: ["b64"], b64: false })), 401, "Jwt verification fails"],
      ["a good token and a bad one", bearer(good) + bearer(token(claims, undefined, other)), 401, "Jwt verification fails"],
      ["a bad token and a good one", bearer(token(claims, undefined, other)) + bearer(good), 401, "Jwt verification fails"],
      [
        "a signature spelled another way",
        bearer(`${head}.${body}.${respelled(signature)}`),
        401,
        "Jwt signature is an invalid Base64url encoded",
      ],
      ["a signature in plain base64", bearer(`${head}.${body}.${signature.slice(0, -2)}+/`), 401],
      ["spaces inside", bearer(`${head}. ${body}.${signature}`), 401],
      ["four parts", bearer(`${good}.x`), 401, "Jwt is not in the form of Header.Payload.Signature"],
      ["two claims of one name", bearer(tokenOfText(`{"iss":"https://issuer.test","sub":"alice","aud":"bank","aud":"bank"}`)), 403],
      ["a payload that is no object", bearer(tokenOfText("[]")), 401, "Jwt payload is an invalid JSON"],
      ["an oversize token", bearer(`${head}.${encode({ ...claims, pad: "x".repeat(100_000) })}.${signature}`), 431],
    ];
    for (const [title, fields, status, text] of cases) {
      const response = await ask("http", get("/", fields), sleep);
      assert.equal(statusOf(response), status, title);
      if (text !== undefined) assert.equal(response.slice(response.indexOf("\r\n\r\n") + 4), text, title);
    }
  });

  test("claims decide, in lists and in texts split at spaces, and are told to the application", { timeout }, async (t) => {
    const { ask } = await startSidecar(t, "127.78.5", [
      requestAuthentication([
        {
          ...rule,
          outputClaimToHeaders: [{ header: "x-sub", claim: "sub" }],
          outputPayloadToHeader: "x-claims",
          fromParams: ["t"],
          fromCookies: ["jwt"],
          fromHeaders: [{ name: "x-jwt", prefix: "Token " }],
        },
      ]),
      policy(
        "claims",
        "{rules: [{when: [{key: 'request.auth.claims[groups]', values: [dev]}, {key: 'request.auth.claims[scope]', values: [write]}, {key: request.auth.audiences, values: [shop]}]}]}",
      ),
    ]);
    for (const [title, head] of [
      ["a header", get("/", `x-jwt: Token ${token()}\r\n`)],
      ["a parameter", get(`/?t=${token()}`)],
      ["a cookie", get("/", `cookie: a=b; jwt=${token()}\r\n`)],
    ] as const) {
      const response = await ask("http", head, sleep);
      assert.equal(statusOf(response), 200, title);
      assert.match(response, /\r\nx-sub: alice\r\n/, title);
      assert.match(response, /\r\nx-claims: /, title);
    }
    for (const wrong of [
      { ...claims, groups: ["ops"] },
      { ...claims, scope: "read" },
      { ...claims, groups: { dev: true } },
    ])
      assert.equal(statusOf(await ask("http", get("/", `x-jwt: Token ${token(wrong)}\r\n`), sleep)), 403);
    assert.equal(statusOf(await ask("http", get("/", `x-sub: alice\r\n`), sleep)), 403);
  });

  test("keys come from their URI; without them every token is refused and the rest is served", { timeout }, async (t) => {
    const keys = createHttpServer((request, response) => {
      if (request.url === "/keys") response.end(JSON.stringify({ keys: [jwk] }));
      else response.writeHead(404).end();
    });
    keys.listen(0, "127.0.0.1");
    await once(keys, "listening");
    t.after(() => void keys.close());
    const base = `http://127.0.0.1:${(keys.address() as AddressInfo).port}`;
    const { ask, proxy } = await startSidecar(t, "127.78.6", [requestAuthentication([{ issuer: claims.iss, jwksUri: `${base}/keys` }])]);
    assert.equal(statusOf(await ask("http", get("/", bearer(token())), sleep)), 200);
    assert.equal(statusOf(await ask("http", get("/"), sleep)), 200);
    for (const jwksUri of [`${base}/missing`, "http://169.254.169.254/latest/meta-data"]) {
      await proxy.setPolicies([requestAuthentication([{ issuer: claims.iss, jwksUri }])]);
      const response = await ask("http", get("/", bearer(token())), sleep);
      assert.equal(statusOf(response), 401);
      assert.match(response, /Jwks doesn't have any valid public key$/);
      assert.equal(statusOf(await ask("http", get("/"), sleep)), 200);
    }
  });
});

function tokenOfText(payload: string): string {
  const signed = `${encode({ alg: "RS256", kid: "k1" })}.${encode(payload)}`;
  return `${signed}.${sign("sha256", Buffer.from(signed), rsa.privateKey).toString("base64url")}`;
}

function pss(): string {
  const signed = `${encode({ alg: "PS256", kid: "k1" })}.${encode(claims)}`;
  const padding = { key: rsa.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
  return `${signed}.${sign("sha256", Buffer.from(signed), padding).toString("base64url")}`;
}
