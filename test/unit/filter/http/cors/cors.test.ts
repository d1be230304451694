import assert from "node:assert/strict";
import { test } from "node:test";
import type { CorsPolicy } from "../../../../../src/envoy/http-filter/cors.ts";
import { cors } from "../../../../../src/filter/http/cors/cors.ts";
import type { Asked } from "../stand-ins.ts";
import { filterUnderTest, respond, streamFor } from "../stand-ins.ts";

const policy: CorsPolicy = {
  allowOrigin: [{ kind: "exact", value: "https://ok.test", ignoreCase: false }],
  allowMethods: "GET,POST",
  allowHeaders: "x-a",
  exposeHeaders: "x-e",
  maxAge: "600",
  allowCredentials: true,
  allowPrivateNetworkAccess: false,
  forwardNotMatchingPreflights: true,
  enabledFraction: 1,
  shadowFraction: 0,
};

const preflight = (origin: string, config: object, more: readonly (readonly [string, string])[] = []): Asked => ({
  method: "OPTIONS",
  fields: [["origin", origin], ["access-control-request-method", "GET"], ...more],
  config,
});

function run(asked: Asked) {
  const made = filterUnderTest(cors, {});
  const recorded = streamFor(asked);
  const status = made.filter.onRequestHeaders!(recorded.stream, true, 0);
  return {
    ...made,
    status,
    recorded,
    response: (fields: readonly (readonly [string, string])[] = []) => respond(made.filter, recorded.stream, fields),
  };
}

test("a preflight of an allowed origin is answered in Envoy's order", () => {
  const { status, recorded, response, stats } = run(preflight("https://ok.test", policy));
  assert.equal(status, "stop");
  const { headers = [], ...reply } = recorded.reply!;
  assert.deepEqual(reply, { status: 200, body: "", details: "cors_response", flags: 0 });
  assert.deepEqual(response(headers), [
    "access-control-allow-origin: https://ok.test",
    "access-control-allow-credentials: true",
    "access-control-allow-methods: GET,POST",
    "access-control-allow-headers: x-a",
    "access-control-max-age: 600",
    "access-control-expose-headers: x-e",
  ]);
  assert.equal(stats.get("http.test.cors.origin_valid"), 1);
});

test("a preflight of another origin goes upstream, and its response stays as it is", () => {
  const { status, response, stats } = run(preflight("https://no.test", policy));
  assert.equal(status, "continue");
  assert.deepEqual(response([["a", "b"]]), ["a: b"]);
  assert.equal(stats.get("http.test.cors.origin_invalid"), 1);
});

test("a preflight of another origin may be answered without allowing it", () => {
  const { status, recorded } = run(
    preflight("https://no.test", { ...policy, forwardNotMatchingPreflights: false, allowCredentials: false }),
  );
  assert.equal(status, "stop");
  assert.deepEqual(
    recorded.reply?.headers?.map(([name]) => name),
    ["access-control-allow-methods", "access-control-allow-headers", "access-control-max-age"],
  );
});

test("a plain request of an allowed origin is marked on its response", () => {
  const { status, response } = run({ fields: [["origin", "https://ok.test"]], config: policy });
  assert.equal(status, "continue");
  assert.deepEqual(
    response([
      ["access-control-allow-origin", "upstream's"],
      ["b", "c"],
    ]),
    [
      "access-control-allow-origin: https://ok.test",
      "b: c",
      "access-control-allow-credentials: true",
      "access-control-expose-headers: x-e",
    ],
  );
});

test("OPTIONS without access-control-request-method is no preflight", () => {
  assert.equal(run({ method: "OPTIONS", fields: [["origin", "https://ok.test"]], config: policy }).status, "continue");
});

test("a star repeats what was asked for", () => {
  const asked = preflight("https://ok.test", { ...policy, allowMethods: "*", allowHeaders: "*" }, [
    ["access-control-request-headers", "x-1,x-2"],
  ]);
  const headers = new Map(run(asked).recorded.reply?.headers);
  assert.deepEqual([headers.get("access-control-allow-methods"), headers.get("access-control-allow-headers")], ["GET", "x-1,x-2"]);
});

test("private network access is granted when asked for", () => {
  const asked = (config: CorsPolicy): Asked => preflight("https://ok.test", config, [["access-control-request-private-network", "true"]]);
  const granted = (config: CorsPolicy): unknown =>
    new Map(run(asked(config)).recorded.reply?.headers).get("access-control-allow-private-network");
  assert.deepEqual([granted(policy), granted({ ...policy, allowPrivateNetworkAccess: true })], [undefined, "true"]);
});

for (const [title, asked] of [
  ["no policy", { fields: [["origin", "https://ok.test"]] }],
  ["no origin", { config: policy }],
  ["an empty origin", { fields: [["origin", ""]], config: policy }],
  ["a policy that is off", { fields: [["origin", "https://ok.test"]], config: { ...policy, enabledFraction: 0 } }],
  ["no route", { route: "none", fields: [["origin", "https://ok.test"]] }],
] as const satisfies readonly (readonly [string, Asked])[]) {
  test(`${title}: nothing happens`, () => {
    const { status, response } = run(asked);
    assert.equal(status, "continue");
    assert.deepEqual(response(), []);
  });
}
