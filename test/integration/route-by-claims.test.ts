// Routes chosen by the claims of a verified token: the choice at the request's arrival is made again once the token is known.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { accessLogPath, bootstrap, httpListener, startTestProxy } from "../support/proxy.ts";
import { connectRaw, hasResponses } from "../support/raw-http.ts";

const secret = Buffer.from("secret-secret-secret-secret-32b");
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

function token(claims: object, key = secret): string {
  const signed = `${encode({ alg: "HS256", kid: "k" })}.${encode({ iss: "lab", ...claims })}`;
  return `${signed}.${createHmac("sha256", key).update(signed).digest("base64url")}`;
}

const claim = (path: readonly string[], value: string, invert = false): object => {
  const wanted = { string_match: { exact: value } };
  return {
    filter: "envoy.filters.http.jwt_authn",
    path: ["payload", ...path].map((key) => ({ key })),
    value: { or_match: { value_matchers: [{ list_match: { one_of: wanted } }, wanted] } },
    invert,
  };
};

const route = (name: string, status: number, ...dynamic_metadata: readonly object[]): object => ({
  name,
  match: { prefix: "/", dynamic_metadata },
  direct_response: { status },
});

const manager = (clear: boolean): object => ({
  http_filters: [
    {
      name: "envoy.filters.http.jwt_authn",
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        providers: {
          lab: {
            issuer: "lab",
            local_jwks: {
              inline_string: JSON.stringify({ keys: [{ kty: "oct", k: secret.toString("base64url"), alg: "HS256", kid: "k" }] }),
            },
            payload_in_metadata: "payload",
            clear_route_cache: clear,
          },
        },
        rules: [
          { match: { prefix: "/" }, requires: { requires_any: { requirements: [{ provider_name: "lab" }, { allow_missing: {} }] } } },
        ],
      },
    },
    { name: "router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } },
  ],
  route_config: {
    name: "claims",
    virtual_hosts: [
      {
        name: "all",
        domains: ["*"],
        routes: [
          route("nested", 291, claim(["realm", "role"], "admin")),
          route("group", 292, claim(["group"], "staff")),
          route("others", 293, claim(["group"], "guest", true), claim(["known"], "yes")),
          route("rest", 294),
        ],
      },
    ],
  },
});

const accessLog = [
  {
    name: "envoy.access_loggers.file",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
      path: accessLogPath,
      log_format: { json_format: { status: "%RESPONSE_CODE%", route: "%ROUTE_NAME%" } },
    },
  },
];

const cases: readonly (readonly [title: string, authorization: string | undefined, status: string, route: string])[] = [
  ["no token", undefined, "294", "rest"],
  ["a claim of another value", token({ group: "x" }), "294", "rest"],
  ["a text", token({ group: "staff" }), "292", "group"],
  ["an item of a list", token({ group: ["x", "staff"] }), "292", "group"],
  ["a nested claim", token({ group: "staff", realm: { role: "admin" } }), "291", "nested"],
  ["two claims, one by its absence", token({ known: "yes" }), "293", "others"],
  ["two claims, one by what it must not be", token({ known: "yes", group: "guest" }), "294", "rest"],
  ["a token that somebody else signed", token({ group: "staff" }, Buffer.from("another")), "401", "rest"],
];

for (const clear of [true, false]) {
  test(`clear_route_cache ${clear}: claims ${clear ? "choose" : "do not choose"} the route`, async (t) => {
    const proxy = await startTestProxy(t, bootstrap([httpListener("main", { manager: { ...manager(clear), access_log: accessLog } })], []));
    const wanted: (readonly [number, string])[] = [];
    for (const [title, authorization, status, name] of cases) {
      const client = await connectRaw(proxy.port("main"));
      const field = authorization === undefined ? "" : `authorization: Bearer ${authorization}\r\n`;
      client.socket.write(`GET / HTTP/1.1\r\nHost: lab\r\n${field}\r\n`);
      const text = await client.until(hasResponses(1));
      client.socket.destroy();
      const expected = clear || status === "401" ? status : "294";
      assert.equal(text.slice(9, 12), expected, title);
      wanted.push([Number(expected), clear ? name : "rest"]);
    }
    const records = await proxy.accessLog(cases.length);
    assert.deepEqual(
      records.map((record) => [Number(record["status"]), record["route"]]),
      wanted,
    );
  });
}
