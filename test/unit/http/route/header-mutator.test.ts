import assert from "node:assert/strict";
import { test } from "node:test";
import { config, fieldsOf, forward, host, noHeaders, option, prefix, request, route, streamInfo, table } from "./model.ts";

function applied(
  side: "request" | "response",
  model: Parameters<typeof config>[0],
  fields: Readonly<Record<string, string>>,
  info = streamInfo(),
  overrides: Parameters<typeof config>[1] = {},
): readonly string[] {
  const asked = request("/", { fields });
  const found = table(config(model, overrides)).match(asked, 0);
  (side === "request" ? found?.requestHeaders : found?.responseHeaders)?.apply(asked.headers, info);
  return fieldsOf(asked.headers);
}

test("additions, overwrites, conditions and removals of one level, as Envoy orders them", () => {
  const headers = {
    ...noHeaders,
    requestAdd: [
      option("x-set", "one", "OVERWRITE_IF_EXISTS_OR_ADD"),
      option("x-add", "two"),
      option("x-absent", "three", "ADD_IF_ABSENT"),
      option("x-there", "four", "ADD_IF_ABSENT"),
      option("x-none", "five", "OVERWRITE_IF_EXISTS"),
      option("x-fmt", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %PROTOCOL% %REQ(:METHOD)% %REQ(x-none)% 100%%"),
    ],
    requestRemove: ["x-rm"],
  };
  const info = streamInfo({ protocol: "HTTP/1.1", method: "GET" });
  assert.deepEqual(
    applied(
      "request",
      [host(["*"], [route("r", prefix("/"), forward(), { headers })])],
      { "x-set": "zero", "x-add": "zero", "x-there": "0", "x-rm": "1" },
      info,
    ),
    ["x-add: zero", "x-there: 0", "x-set: one", "x-add: two", "x-absent: three", "x-fmt: 127.0.0.1 HTTP/1.1 GET  100%"],
  );
});

test("response headers may quote the response", () => {
  const headers = { ...noHeaders, responseAdd: [option("x-resp", "%RESPONSE_CODE% %UPSTREAM_HOST%")], responseRemove: ["x-origin-header"] };
  const info = streamInfo({ responseCode: 200, upstreamHost: "127.0.0.1:18080" });
  assert.deepEqual(
    applied("response", [host(["*"], [route("r", prefix("/"), forward(), { headers })])], { "x-origin-header": "v" }, info),
    ["x-resp: 200 127.0.0.1:18080"],
  );
});

test("an empty value adds nothing unless it is to be kept", () => {
  const headers = {
    ...noHeaders,
    requestAdd: [option("a", ""), option("b", "%REQ(x-none)%"), option("c", "", "APPEND_IF_EXISTS_OR_ADD", true)],
  };
  assert.deepEqual(applied("request", [host(["*"], [route("r", prefix("/"), forward(), { headers })])], {}), ["c: "]);
});

test("values quote the headers as they were before the level changed them", () => {
  const asked = { "x-a": "old" };
  const headers = { ...noHeaders, requestAdd: [option("x-a", "new", "OVERWRITE_IF_EXISTS_OR_ADD"), option("x-b", "%REQ(x-a)%")] };
  const model = [host(["*"], [route("r", prefix("/"), forward(), { headers })])];
  const live = request("/", { fields: asked });
  table(config(model))
    .match(live, 0)
    ?.requestHeaders?.apply(live.headers, streamInfo({ requestHeaders: live.headers }));
  assert.deepEqual(fieldsOf(live.headers), ["x-a: new", "x-b: old"]);
});

for (const [mostSpecific, expected] of [
  [false, ["x: config"]],
  [true, ["x: route"]],
] as const) {
  test(`most_specific_header_mutations_wins ${mostSpecific}: ${expected[0]}`, () => {
    const level = (value: string) => ({ ...noHeaders, requestAdd: [option("x", value, "OVERWRITE_IF_EXISTS_OR_ADD")] });
    const model = [host(["*"], [route("r", prefix("/"), forward(), { headers: level("route") })], { headers: level("host") })];
    assert.deepEqual(
      applied("request", model, {}, streamInfo(), { headers: level("config"), mostSpecificHeaderMutationsWins: mostSpecific }),
      expected,
    );
  });
}

test("appends of all levels add up, route first", () => {
  const level = (value: string) => ({ ...noHeaders, responseAdd: [option("x", value)] });
  const model = [host(["*"], [route("r", prefix("/"), forward(), { headers: level("route") })], { headers: level("host") })];
  assert.deepEqual(applied("response", model, {}, streamInfo(), { headers: level("config") }), ["x: route", "x: host", "x: config"]);
});

test("a route without changes on any level has no mutator", () => {
  const found = table(config([host(["*"], [route("r", prefix("/"))])])).match(request("/"), 0);
  assert.deepEqual([found?.requestHeaders, found?.responseHeaders], [undefined, undefined]);
});
