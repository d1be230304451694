import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, type KeyObject, sign, constants } from "node:crypto";
import { test } from "node:test";
import type { JwtAuthnConfig, JwtProvider, JwtRequirement } from "../../../../../src/envoy/http-filter/jwt-authn.ts";
import { jwtAuthn } from "../../../../../src/filter/http/jwt-authn/jwt-authn.ts";
import { readKeySet } from "../../../../../src/filter/http/jwt-authn/jwks.ts";
import { parseJwt } from "../../../../../src/filter/http/jwt-authn/jwt.ts";
import type { Asked } from "../stand-ins.ts";
import { filterUnderTest, streamFor } from "../stand-ins.ts";

const secret = Buffer.from("secret-secret-secret-secret-32b");
const oct = { kty: "oct", k: secret.toString("base64url"), alg: "HS256", kid: "k" };
const encode = (value: unknown): string => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
const now = 1_800_000_000;

function token(claims: unknown = { iss: "lab" }, header: unknown = { alg: "HS256", kid: "k" }, key: Buffer = secret): string {
  const signed = `${encode(header)}.${encode(claims)}`;
  return `${signed}.${createHmac("sha256", key).update(signed).digest("base64url")}`;
}

function provider(overrides: Partial<JwtProvider> = {}): JwtProvider {
  return {
    name: "p",
    issuer: "lab",
    audiences: [],
    jwks: { keys: [oct] },
    fromHeaders: [],
    fromParams: [],
    fromCookies: [],
    forward: false,
    forwardPayloadHeader: "",
    padForwardPayloadHeader: false,
    clockSkewSeconds: 60,
    requireExpiration: false,
    clearRouteCache: false,
    payloadInMetadata: "",
    spaceDelimitedClaims: [],
    claimToHeaders: [],
    ...overrides,
  };
}

const byProvider: JwtRequirement = { kind: "provider", name: "p" };

function config(requires: JwtRequirement | undefined = byProvider, providers: readonly JwtProvider[] = [provider()]): JwtAuthnConfig {
  const match = {
    path: { kind: "prefix", value: "/jwt", caseSensitive: true },
    headers: [],
    queryParameters: [],
    cookies: [],
    grpc: false,
    runtimeFraction: 1,
  } as const;
  return { providers, rules: [{ match, ...(requires && { requires }) }], requirementMap: { named: byProvider }, bypassCorsPreflight: true };
}

function run(model: JwtAuthnConfig, asked: Asked) {
  const made = filterUnderTest(jwtAuthn, model);
  made.clock.now = now * 1000;
  const recorded = streamFor({ path: "/jwt", ...asked });
  const status = made.filter.onRequestHeaders!(recorded.stream, true, 0);
  assert.equal(status === "stop", recorded.reply !== undefined);
  return { ...made, recorded, said: recorded.reply === undefined ? "passes" : `${recorded.reply.status} ${recorded.reply.body}` };
}

const bearer = (text: string): Asked => ({ fields: [["authorization", `Bearer ${text}`]] });
const badSignature = token({ iss: "lab" }, { alg: "HS256" }, Buffer.from("another"));

const cases: readonly (readonly [
  title: string,
  asked: Asked,
  expected: string,
  requires?: JwtRequirement,
  providers?: readonly JwtProvider[],
])[] = [
  ["a good token", bearer(token()), "passes"],
  ["no token", {}, "401 Jwt is missing"],
  ["another scheme", { fields: [["authorization", `Basic ${token()}`]] }, "401 Jwt is missing"],
  ["a path without a rule", { path: "/open" }, "passes"],
  ["two parts", bearer("a.b"), "401 Jwt is not in the form of Header.Payload.Signature"],
  ["an empty part", bearer("a..c"), "401 Jwt is not in the form of Header.Payload.Signature"],
  ["garbage", bearer("x.y.z"), "401 Jwt header is an invalid Base64url encoded"],
  ["a header that is no JSON", bearer(`${encode("{")}.e30.e30`), "401 Jwt header is an invalid JSON"],
  ["a header without alg", bearer(`${encode({})}.e30.e30`), "401 Jwt header [alg] field is not a string"],
  ["alg none", bearer(`${encode({ alg: "none" })}.${encode({ iss: "lab" })}.e30`), "401 Jwt header [alg] field value is invalid"],
  ["a kid that is a number", bearer(token({ iss: "lab" }, { alg: "HS256", kid: 1 })), "401 Jwt header [kid] field is not a string"],
  ["critical extensions", bearer(token({ iss: "lab" }, { alg: "HS256", crit: ["b64"] })), "401 Jwt verification fails"],
  ["a payload that is no Base64url", bearer(`${encode({ alg: "HS256" })}.y.e30`), "401 Jwt payload is an invalid Base64url encoded"],
  ["a payload that is an array", bearer(token([])), "401 Jwt payload is an invalid JSON"],
  ["an iss that is a number", bearer(token({ iss: 1 })), "401 Jwt payload [iss] field is not a string"],
  ["an exp that is text", bearer(token({ iss: "lab", exp: "1" })), "401 Jwt payload [exp] field is not an integer"],
  ["a negative nbf", bearer(token({ iss: "lab", nbf: -1 })), "401 Jwt payload [nbf] field is not a positive 64 bit integer"],
  ["an aud that is a number", bearer(token({ iss: "lab", aud: 1 })), "401 Jwt payload [aud] field is not a string or string list"],
  [
    "a signature that is no Base64url",
    bearer(`${encode({ alg: "HS256" })}.${encode({ iss: "lab" })}.a`),
    "401 Jwt signature is an invalid Base64url encoded",
  ],
  ["another issuer", bearer(token({ iss: "other" })), "401 Jwt issuer is not configured"],
  ["a token not valid yet", bearer(token({ iss: "lab", nbf: now + 61 })), "401 Jwt not yet valid"],
  ["a token within the skew", bearer(token({ iss: "lab", nbf: now + 60, exp: now - 60 })), "passes"],
  ["an expired token", bearer(token({ iss: "lab", exp: now - 61 })), "401 Jwt is expired"],
  ["no expiry where one is required", bearer(token()), "401 Jwt is expired", byProvider, [provider({ requireExpiration: true })]],
  ["a bad signature", bearer(badSignature), "401 Jwt verification fails"],
  [
    "an unknown kid",
    bearer(token({ iss: "lab" }, { alg: "HS256", kid: "other" })),
    "401 Jwks doesn't have key to match kid or alg from Jwt",
  ],
  [
    "no usable key",
    bearer(token()),
    "401 Jwks doesn't have any valid public key",
    byProvider,
    [provider({ jwks: { keys: [{ kty: "RSA" }, { kty: "x" }] } })],
  ],
  [
    "an audience",
    bearer(token({ iss: "lab", aud: ["x", "https://a.test/"] })),
    "passes",
    byProvider,
    [provider({ audiences: ["a.test"] })],
  ],
  [
    "another audience",
    bearer(token({ iss: "lab", aud: "x" })),
    "403 Audiences in Jwt are not allowed",
    byProvider,
    [provider({ audiences: ["a"] })],
  ],
  ["no audience", bearer(token()), "403 Audiences in Jwt are not allowed", { kind: "provider", name: "p", audiences: ["a"] }],
  [
    "a good and a bad token",
    {
      fields: [
        ["authorization", `Bearer ${token()}`],
        ["authorization", `Bearer ${badSignature}`],
      ],
    },
    "401 Jwt verification fails",
  ],
  ["a token in the query", { path: `/jwt?access_token=${token()}` }, "passes"],
  ["a token in a cookie", { fields: [["cookie", `a=b; t=${token()}`]] }, "passes", byProvider, [provider({ fromCookies: ["t"] })]],
  [
    "a token in a header of its own",
    { fields: [["x-jwt", token()]] },
    "passes",
    byProvider,
    [provider({ fromHeaders: [{ name: "x-jwt", valuePrefix: "" }] })],
  ],
  ["allow missing: none", {}, "passes", { kind: "any", requirements: [byProvider, { kind: "allowMissing" }] }],
  [
    "allow missing: bad",
    bearer(badSignature),
    "401 Jwt verification fails",
    { kind: "any", requirements: [byProvider, { kind: "allowMissing" }] },
  ],
  [
    "allow missing: unknown issuer",
    bearer(token({ iss: "x" })),
    "401 Jwt issuer is not configured",
    { kind: "any", requirements: [byProvider, { kind: "allowMissing" }] },
  ],
  ["allow missing alone: good", bearer(token()), "passes", { kind: "allowMissing" }],
  ["allow missing or failed: bad", bearer(badSignature), "passes", { kind: "allowMissingOrFailed" }],
  [
    "any: the second provider",
    bearer(token({ iss: "two" })),
    "passes",
    { kind: "any", requirements: [byProvider, { kind: "provider", name: "q" }] },
    [provider(), provider({ name: "q", issuer: "two" })],
  ],
  [
    "any: the failure that tells most",
    bearer(token({ iss: "lab", exp: 1 })),
    "401 Jwt is expired",
    { kind: "any", requirements: [{ kind: "provider", name: "q" }, byProvider] },
    [provider(), provider({ name: "q", issuer: "two" })],
  ],
  [
    "all: one missing",
    bearer(token()),
    "401 Jwt is missing",
    { kind: "all", requirements: [byProvider, { kind: "provider", name: "q" }] },
    [provider({ forward: true }), provider({ name: "q", fromHeaders: [{ name: "x", valuePrefix: "" }] })],
  ],
  ["a provider that does not exist", bearer(token()), "401 Jwt issuer is not configured", { kind: "provider", name: "gone" }],
  ["no requirement", {}, "passes", { kind: "all", requirements: [] }],
  [
    "a preflight",
    {
      method: "OPTIONS",
      fields: [
        ["origin", "o"],
        ["access-control-request-method", "GET"],
      ],
    },
    "passes",
  ],
  ["a route that switches it off", { config: { kind: "disabled" } }, "passes"],
  ["a route with a requirement of its own", { path: "/open", config: { kind: "requirement", name: "named" } }, "401 Jwt is missing"],
  [
    "a route with an unknown requirement",
    { config: { kind: "requirement", name: "x" } },
    "403 Failed JWT authentication: Wrong requirement_name: x. It should be one of the requirement_map",
  ],
];

for (const [title, asked, expected, requires, providers] of cases) {
  test(`${title}: ${expected}`, () => assert.equal(run(config(requires, providers), asked).said, expected));
}

test("the reply names the realm and, for a bad token, the error", () => {
  const lacking = run(config(), { path: "/jwt" }).recorded.reply;
  assert.deepEqual(lacking?.headers, [["www-authenticate", 'Bearer realm="http://lab/jwt"']]);
  assert.equal(lacking?.details, "jwt_authn_access_denied{Jwt_is_missing}");
  const bad = run(config(), bearer("x.y.z")).recorded.reply;
  assert.deepEqual(bad?.headers, [["www-authenticate", 'Bearer realm="http://lab/jwt", error="invalid_token"']]);
  assert.equal(bad?.details, "jwt_authn_access_denied{Jwt_header_is_an_invalid_Base64url_encoded}");
});

test("a verified token is taken out and told upstream; a client cannot tell it itself", () => {
  const claims = { iss: "lab", sub: "me", n: { deep: 7, line: "a\r\nb" }, list: [1] };
  const model = config(byProvider, [
    provider({
      forwardPayloadHeader: "x-payload",
      padForwardPayloadHeader: true,
      claimToHeaders: [
        { headerName: "x-sub", claimName: "sub" },
        { headerName: "x-deep", claimName: "n.deep" },
        { headerName: "x-line", claimName: "n.line" },
        { headerName: "x-list", claimName: "list" },
        { headerName: "x-none", claimName: "none" },
      ],
    }),
  ]);
  const { recorded } = run(model, {
    fields: [
      ["x-sub", "forged"],
      ["x-none", "forged"],
      ["authorization", `Bearer ${token(claims)}`],
    ],
  });
  const { headers } = recorded.stream;
  assert.equal(Buffer.from(headers.get("x-payload")!, "base64url").toString(), JSON.stringify(claims));
  assert.equal(headers.get("x-payload")!.length % 4, 0);
  assert.deepEqual(
    ["authorization", "x-sub", "x-deep", "x-line", "x-list", "x-none"].map((name) => headers.getAll(name)),
    [undefined, "me", "7", "ab", undefined, undefined],
  );
});

test("a token in the query is taken out, unless it is to be forwarded", () => {
  const path = `/jwt?a=1&access_token=${token()}&b=2`;
  assert.equal(run(config(), { path }).recorded.stream.path, "/jwt?a=1&b=2");
  assert.equal(run(config(byProvider, [provider({ forward: true })]), { path }).recorded.stream.path, path);
});

type Signer = (data: Buffer) => Buffer;

function pair(kind: "rsa" | "P-256" | "P-384" | "P-521" | "ed25519"): { readonly jwk: object; readonly key: KeyObject } {
  const { publicKey, privateKey } =
    kind === "rsa"
      ? generateKeyPairSync("rsa", { modulusLength: 2048 })
      : kind === "ed25519"
        ? generateKeyPairSync("ed25519")
        : generateKeyPairSync("ec", { namedCurve: kind });
  return { jwk: publicKey.export({ format: "jwk" }), key: privateKey };
}

test("RSA, PSS, EC and Ed25519 signatures are verified, and broken ones are not", () => {
  const rsa = pair("rsa");
  const curves = { ES256: pair("P-256"), ES384: pair("P-384"), ES512: pair("P-521") };
  const ed = pair("ed25519");
  const algorithms: readonly (readonly [alg: string, jwk: object, signer: Signer])[] = [
    ...["256", "384", "512"].map((bits) => [`RS${bits}`, rsa.jwk, (data) => sign(`sha${bits}`, data, rsa.key)] as [string, object, Signer]),
    ...["256", "384", "512"].map(
      (bits) =>
        [
          `PS${bits}`,
          rsa.jwk,
          (data) =>
            sign(`sha${bits}`, data, {
              key: rsa.key,
              padding: constants.RSA_PKCS1_PSS_PADDING,
              saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
            }),
        ] as [string, object, Signer],
    ),
    ...Object.entries(curves).map(
      ([alg, { jwk, key }]) =>
        [alg, jwk, (data) => sign(`sha${alg.slice(2)}`, data, { key, dsaEncoding: "ieee-p1363" })] as [string, object, Signer],
    ),
    ["EdDSA", ed.jwk, (data) => sign(null, data, ed.key)],
  ];
  for (const [alg, jwk, signer] of algorithms) {
    const signed = `${encode({ alg })}.${encode({ iss: "lab" })}`;
    const keys = readKeySet({ keys: [jwk] });
    const good = parseJwt(`${signed}.${signer(Buffer.from(signed)).toString("base64url")}`);
    assert.ok(typeof good === "object");
    assert.equal(keys.verify(good), undefined, alg);
    const broken = Buffer.from(good.signature);
    broken[broken.length >> 1]! ^= 1;
    assert.equal(keys.verify({ ...good, signature: broken }), "Jwt verification fails", alg);
    assert.equal(keys.verify({ ...good, signature: Buffer.alloc(0) }), "Jwt verification fails", alg);
  }
});

test("a public key is never an HMAC secret", () => {
  const { jwk } = pair("rsa");
  const forged = parseJwt(token({ iss: "lab" }, { alg: "HS256" }, Buffer.from(JSON.stringify(jwk))));
  assert.ok(typeof forged === "object");
  assert.equal(readKeySet({ keys: [jwk] }).verify(forged), "Jwt verification fails");
  assert.equal(readKeySet({ keys: [{ ...jwk, alg: "HS256" }] }).verify(forged), "Jwks doesn't have any valid public key");
});

test("keys for encryption and keys whose curve is not their algorithm's are left out", () => {
  const good = parseJwt(token());
  assert.ok(typeof good === "object");
  const { jwk } = pair("P-256");
  for (const bad of [{ ...oct, use: "enc" }, { ...jwk, alg: "ES384" }, { kty: "oct", k: "" }, null, "key", { kty: "toString" }]) {
    assert.equal(readKeySet({ keys: [bad] }).verify(good), "Jwks doesn't have any valid public key");
  }
});

test("no input makes the parser throw", () => {
  const alphabet = ["e", "y", "J", "{", "}", ".", ".", "=", "-", "_", "\xff", '"', encode({ alg: "HS256" }), encode({ iss: null })];
  let state = 3;
  const next = (bound: number): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % bound;
  for (let round = 0; round < 5000; round++) {
    let text = "";
    for (let n = next(14); n > 0; n--) text += alphabet[(next(1 << 16) >>> 4) % alphabet.length]!;
    assert.equal(typeof parseJwt(text) === "string" || typeof parseJwt(text) === "object", true);
  }
});
