import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { compileRouteTable } from "../../../../src/http/route/compile.ts";
import { config, deps, exactPath, forward, host, prefix, request, route, routes, table } from "./model.ts";

const exact = (value: string) => ({ kind: "string", matcher: { kind: "exact", value, ignoreCase: false } }) as const;
const header = (name: string, match: object, invertMatch = false) =>
  ({ name, match, invertMatch, treatMissingHeaderAsEmpty: false }) as never;

const lab = routes(
  route("connect", { kind: "connect" }),
  route("direct", exactPath("/direct")),
  route("ci", prefix("/CaSe", false)),
  route("psp", { kind: "pathSeparatedPrefix", value: "/seg", caseSensitive: true }),
  route("regex", { kind: "safeRegex", regex: "/re/[0-9]+/?" }),
  route("template", { kind: "template", template: "/shelf/{id}" }),
  route("h-exact", prefix("/match"), forward(), {}, { headers: [header("x-a", exact("one"))] }),
  route("h-present", prefix("/match"), forward(), {}, { headers: [header("x-p", { kind: "present", present: true })] }),
  route("h-two", prefix("/match"), forward(), {}, { headers: [header("x-b", exact("1")), header("x-c", exact("2"))] }),
  route("q", prefix("/match"), forward(), {}, { queryParameters: [{ name: "q", match: exact("1") }] }),
  route("h-not", prefix("/match"), forward(), {}, { headers: [header("x-inv", exact("no"), true)] }),
  route("post", prefix("/match"), forward(), {}, { headers: [header(":method", exact("POST"))] }),
  route("grpc", prefix("/grpc"), forward(), {}, { grpc: true }),
  route("presented", prefix("/tls"), forward(), {}, { tls: { presented: true, validated: true } }),
  route("no-cert", prefix("/tls"), forward(), {}, { tls: { presented: false } }),
  route("half", prefix("/half"), forward(), {}, { runtimeFraction: 0.5 }),
  route("rest", prefix("/")),
);

const decisions: readonly (readonly [path: string, expected: string | undefined, more?: Parameters<typeof request>[1], random?: number])[] =
  [
    ["/direct", "direct"],
    ["/direct?a=1", "direct"],
    ["/direct/", "rest"],
    ["/cAsE1", "ci"],
    ["/seg", "psp"],
    ["/seg?x", "psp"],
    ["/seg/x", "psp"],
    ["/segx", "rest"],
    ["/re/12?q=1", "regex"],
    ["/re/12/more", "rest"],
    ["/shelf/1?x", "template"],
    ["/shelf/1/2", "rest"],
    ["/match", "h-exact", { fields: { "x-a": "one" } }],
    ["/match", "h-present", { fields: { "x-p": "" } }],
    ["/match", "h-two", { fields: { "x-b": "1", "x-c": "2" } }],
    ["/match", "rest", { fields: { "x-b": "1" } }],
    ["/match?q=1", "q"],
    ["/match?q=2", "rest"],
    ["/match", "h-not", { fields: { "x-inv": "yes" } }],
    ["/match", "rest"],
    ["/match", "post", { method: "POST" }],
    ["/grpc", "grpc", { fields: { "content-type": "application/grpc" } }],
    ["/grpc", "grpc", { fields: { "content-type": "application/grpc+proto" } }],
    ["/grpc", "rest", { fields: { "content-type": "application/grpc-web" } }],
    ["/tls", "presented", { tls: { presented: true, validated: true } }],
    ["/tls", "rest", { tls: { presented: true, validated: false } }],
    ["/tls", "no-cert", { tls: { presented: false, validated: false } }],
    ["/tls", "no-cert"],
    ["/half", "half", {}, 0.49],
    ["/half", "rest", {}, 0.5],
    ["", "connect", { method: "CONNECT" }],
    ["", undefined],
  ];

for (const [path, expected, more, random] of decisions) {
  test(`${more?.method ?? "GET"} ${path} ${JSON.stringify(more ?? {})} goes to ${expected ?? "no route"}`, () => {
    assert.equal(lab.match(request(path, more), random ?? 0)?.name, expected);
  });
}

test("a CONNECT without connect_matcher finds no route, even behind an empty prefix", () => {
  assert.equal(routes(route("all", prefix(""))).match(request("", { method: "CONNECT" }), 0), undefined);
});

test("the virtual host is chosen before its routes: no fall-through to another host", () => {
  const two = table(config([host(["a.test"], [route("only", exactPath("/only"))]), host(["*"], [route("rest", prefix("/"))])]));
  assert.equal(two.match(request("/only", { authority: "A.test" }), 0)?.name, "only");
  assert.equal(two.match(request("/", { authority: "a.test" }), 0), undefined);
  assert.equal(two.match(request("/", { authority: "b.test" }), 0)?.name, "rest");
  assert.equal(two.match(request("/", { authority: "b.test" }), 0)?.virtualHost.name, "*");
});

test("no default host means no route for an unknown authority", () => {
  assert.equal(table(config([host(["a.test"], [route("r", prefix("/"))])])).match(request("/", { authority: "b.test" }), 0), undefined);
});

test("require_tls redirects what did not come over TLS, before any route matches", () => {
  const tls = table(
    config([
      host(["all.test"], [route("r", prefix("/"))], { requireTls: "ALL" }),
      host(["ext.test"], [route("r", prefix("/"))], { requireTls: "EXTERNAL_ONLY" }),
    ]),
  );
  const location = (authority: string, more: Parameters<typeof request>[1] = {}): string | undefined => {
    const asked = request("/x?q", { authority, ...more });
    const action = tls.match(asked, 0)?.action;
    return action?.kind === "redirect" ? `${action.status} ${action.location(asked)}` : action?.kind;
  };
  assert.equal(location("all.test"), "301 https://all.test/x?q");
  assert.equal(location("all.test", { internal: true }), "301 https://all.test/x?q");
  assert.equal(location("all.test", { scheme: "https" }), "route");
  assert.equal(location("all.test", { fields: { "x-forwarded-proto": "https" } }), "route");
  assert.equal(location("ext.test"), "301 https://ext.test/x?q");
  assert.equal(location("ext.test", { internal: true }), "route");
});

suite("patching a table", () => {
  const to = (name: string) => [route(name, prefix("/"), forward({ target: { kind: "cluster", name } }))];
  const named = (name: string, domains: readonly string[], target: string) => ({ ...host(domains, to(target)), name });
  const patched = table(config([named("a", ["a.test", "*.a.test"], "a"), named("b", ["b.test"], "b"), named("rest", ["*"], "rest")]));
  const answers = (): readonly (string | undefined)[] =>
    ["a.test", "x.a.test", "b.test", "c.test", "pre.any"].map((authority) => patched.match(request("/", { authority }), 0)?.name);

  test("replaces, adds and removes virtual hosts with all their domains, and leaves the others", () => {
    assert.deepEqual(answers(), ["a", "a", "b", "rest", "rest"]);
    assert.deepEqual(patched.patch({ set: [named("a", ["a.test", "c.test"], "a2"), named("p", ["pre.*"], "p")], removed: ["b"] }), []);
    assert.deepEqual(answers(), ["a2", "rest", "rest", "a2", "p"]);
    assert.deepEqual(patched.patch({ set: [named("b", ["b.test"], "b2")], removed: ["p", "rest", "never there"] }), []);
    assert.deepEqual(answers(), ["a2", undefined, "b2", "a2", undefined]);
  });

  test("moves a domain from one virtual host to another", () => {
    assert.deepEqual(patched.patch({ set: [named("b", ["b.test", "c.test"], "b3"), named("a", ["a.test"], "a3")], removed: [] }), []);
    assert.deepEqual(answers(), ["a3", undefined, "b3", "b3", undefined]);
  });

  test("changes nothing when a virtual host does not compile", () => {
    const broken = { ...host(["a.test"], [route("x", { kind: "safeRegex", regex: "(" })]), name: "a" };
    assert.equal(patched.patch({ set: [broken, named("new", ["new.test"], "new")], removed: ["b"] }).length, 1);
    assert.deepEqual(answers(), ["a3", undefined, "b3", "b3", undefined]);
  });
});

test("direct responses and non-forwarding routes carry what they are", () => {
  const found = routes(
    route("d", prefix("/d"), { kind: "direct_response", status: 204, body: "x" }),
    route("n", prefix("/"), { kind: "non_forwarding" }),
  );
  assert.deepEqual(found.match(request("/d"), 0)?.action, { kind: "direct_response", status: 204, body: "x" });
  assert.deepEqual(found.match(request("/"), 0)?.action, { kind: "non_forwarding" });
});

test("attempt counts are asked for by the virtual host or the route", () => {
  const model = config([
    host(["v"], [route("r", prefix("/"))], { includeRequestAttemptCount: true, includeAttemptCountInResponse: true }),
    host(["r"], [route("r", prefix("/"), forward({ includeAttemptCount: true }))]),
    host(["n"], [route("r", prefix("/"))]),
  ]);
  const counts = (authority: string): unknown => {
    const found = table(model).match(request("/", { authority }), 0);
    return [found?.includeAttemptCount, found?.includeAttemptCountInResponse];
  };
  assert.deepEqual(
    [counts("v"), counts("r"), counts("n")],
    [
      [true, true],
      [true, false],
      [false, false],
    ],
  );
});

test("every fault of a configuration is reported with its path", () => {
  const result = compileRouteTable(
    config([
      host(
        ["a"],
        [
          route("ok", prefix("/")),
          route("re", { kind: "safeRegex", regex: "(" }),
          route("rw", prefix("/"), forward({ regexRewrite: { regex: "(?<=x)", substitution: "" } })),
          route("fmt", prefix("/"), forward(), {
            headers: {
              requestAdd: [{ key: "x", value: "%NO_SUCH_THING%", appendAction: "ADD_IF_ABSENT", keepEmptyValue: false }],
              requestRemove: [],
              responseAdd: [],
              responseRemove: [],
            },
          }),
        ],
      ),
      host(["a"], []),
    ]),
    deps,
  );
  assert.equal(result.ok, false);
  assert.deepEqual(
    result.issues.map((issue) => issue.path.join(".")),
    [
      "virtual_hosts.0.routes.1",
      "virtual_hosts.0.routes.2",
      "virtual_hosts.0.routes.3.request_headers_to_add.0.header.value",
      "virtual_hosts",
    ],
  );
});
