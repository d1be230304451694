import assert from "node:assert/strict";
import { test } from "node:test";
import type { HashPolicy, HostRewrite, RedirectAction } from "../../../../src/envoy/route/route.ts";
import type { PathMatcher } from "../../../../src/envoy/string-matcher.ts";
import { hashToHex, xxHash64, type Hash64 } from "../../../../src/match/xxhash64.ts";
import {
  config,
  exactPath,
  fieldsOf,
  forward,
  forwardOf,
  host,
  noHeaders,
  option,
  prefix,
  request,
  route,
  routes,
  streamInfo,
  table,
  weighted,
} from "./model.ts";

function redirect(overrides: Partial<RedirectAction>): RedirectAction {
  return { kind: "redirect", httpsRedirect: false, path: { kind: "none" }, responseCode: 301, stripQuery: false, ...overrides };
}

const redirects: readonly (readonly [
  title: string,
  match: PathMatcher,
  action: Partial<RedirectAction>,
  path: string,
  location: string,
  more?: Parameters<typeof request>[1],
])[] = [
  ["host", prefix("/r-host"), { hostRedirect: "new.host" }, "/r-host?q=1", "http://new.host/r-host?q=1"],
  ["https", prefix("/"), { httpsRedirect: true }, "/r-https?q=1", "https://lab/r-https?q=1"],
  ["path", prefix("/"), { path: { kind: "path", value: "/to" } }, "/r-path?q=1", "http://lab/to?q=1"],
  [
    "path with its own query",
    prefix("/"),
    { path: { kind: "path", value: "/to?own=1" }, stripQuery: true },
    "/r?q=1",
    "http://lab/to?own=1",
  ],
  ["path without a slash", prefix("/"), { path: { kind: "path", value: "to" } }, "/r", "http://lab/to"],
  ["path, query stripped", prefix("/"), { path: { kind: "path", value: "/to" }, stripQuery: true }, "/r?q=1", "http://lab/to"],
  ["prefix", prefix("/r-prefix/"), { path: { kind: "prefix", value: "/p/" } }, "/r-prefix/x?q=1", "http://lab/p/x?q=1"],
  ["prefix on a case-insensitive match", prefix("/R/", false), { path: { kind: "prefix", value: "/p/" } }, "/r/X", "http://lab/p/X"],
  ["regex", prefix("/"), { path: { kind: "regex", regex: "^/a/(.*)$", substitution: "/b/\\1" } }, "/a/x?q", "http://lab/b/x?q"],
  [
    "regex, query stripped",
    prefix("/"),
    { path: { kind: "regex", regex: "a", substitution: "b" }, stripQuery: true },
    "/a?a",
    "http://lab/b",
  ],
  ["port, query stripped", prefix("/"), { portRedirect: 8443, stripQuery: true }, "/r-port?q=1", "http://lab:8443/r-port"],
  ["port replaces the port", prefix("/"), { portRedirect: 8443 }, "/", "http://lab:8443/", { authority: "lab:80" }],
  ["scheme", prefix("/"), { schemeRedirect: "ws" }, "/x", "ws://lab/x"],
  ["https leaves the default port behind", prefix("/"), { httpsRedirect: true }, "/", "https://lab/", { authority: "lab:80" }],
  ["https keeps another port", prefix("/"), { httpsRedirect: true }, "/", "https://lab:8080/", { authority: "lab:8080" }],
  ["http leaves 443 behind", prefix("/"), { schemeRedirect: "http" }, "/", "http://lab/", { authority: "lab:443", scheme: "https" }],
  [
    "the same scheme keeps its port",
    prefix("/"),
    { httpsRedirect: true, path: { kind: "path", value: "/b" } },
    "/",
    "https://lab:443/b",
    { authority: "lab:443", scheme: "https" },
  ],
  ["IPv6", prefix("/"), { portRedirect: 1 }, "/", "http://[::1]:1/", { authority: "[::1]:80" }],
  ["IPv6 without a port", prefix("/"), { httpsRedirect: true }, "/", "https://[::1]/", { authority: "[::1]" }],
];

for (const [title, match, action, path, location, more] of redirects) {
  test(`redirect ${title}: ${location}`, () => {
    const asked = request(path, more);
    const found = routes(route("r", match, redirect(action))).match(asked, 0)?.action;
    assert.ok(found?.kind === "redirect");
    assert.equal(found.location(asked), location);
  });
}

test("a redirect has its status", () => {
  const found = routes(route("r", prefix("/"), redirect({ responseCode: 308 }))).match(request("/"), 0)?.action;
  assert.equal(found?.kind === "redirect" && found.status, 308);
});

const rewrites: readonly (readonly [
  match: PathMatcher,
  action: Parameters<typeof forward>[0],
  path: string,
  expected: string | undefined,
])[] = [
  [prefix("/rewrite/"), { prefixRewrite: "/new/" }, "/rewrite/a/b?q=1", "/new/a/b?q=1"],
  [prefix("/strip"), { prefixRewrite: "/" }, "/stripme/x?q=1", "/me/x?q=1"],
  [prefix("/strip"), { prefixRewrite: "/" }, "/strip/x", "//x"],
  [prefix("/Strip", false), { prefixRewrite: "/" }, "/STRIPx", "/x"],
  [exactPath("/a"), { prefixRewrite: "/b" }, "/a?q", "/b?q"],
  [{ kind: "pathSeparatedPrefix", value: "/seg", caseSensitive: true }, { prefixRewrite: "/s" }, "/seg/x?q", "/s/x?q"],
  [{ kind: "safeRegex", regex: "/re/.*" }, { prefixRewrite: "/all" }, "/re/1?q", "/all?q"],
  [prefix("/"), { regexRewrite: { regex: "^/re/([0-9]+)", substitution: "/n/\\1/x" } }, "/re/12?q=1", "/n/12/x?q=1"],
  [prefix("/"), { regexRewrite: { regex: "a", substitution: "b" } }, "/aa?aa", "/bb?aa"],
  [prefix("/"), { regexRewrite: { regex: ".*", substitution: "" } }, "/aa?q", "/aa?q"],
  [prefix("/"), {}, "/a", undefined],
];

for (const [match, action, path, expected] of rewrites) {
  test(`${path} under ${JSON.stringify(match)} with ${JSON.stringify(action)} goes upstream as ${expected ?? "it is"}`, () => {
    const { rewritePath } = forwardOf(routes(route("r", match, forward(action))).match(request(path), 0));
    assert.equal(rewritePath?.(path), expected);
  });
}

const hostRewrites: readonly (readonly [rewrite: HostRewrite, expected: string | undefined])[] = [
  [{ kind: "literal", value: "other.host" }, "other.host"],
  [{ kind: "header", name: "X-Host" }, "from.header"],
  [{ kind: "header", name: "x-none" }, undefined],
  [{ kind: "pathRegex", regex: "^/([^/]+)/.*$", substitution: "\\1.test" }, "svc.test"],
  [{ kind: "auto" }, undefined],
];

for (const [hostRewrite, expected] of hostRewrites) {
  test(`host rewrite ${JSON.stringify(hostRewrite)} gives ${expected ?? "no host"}`, () => {
    const asked = request("/svc/x?q", { fields: { "x-host": "from.header" } });
    const { rewriteHost } = forwardOf(routes(route("r", prefix("/"), forward({ hostRewrite }))).match(asked, 0));
    assert.equal(rewriteHost?.(asked), expected);
  });
}

test("weighted clusters share the draws by weight", () => {
  const target = weighted([
    { name: "a", weight: 1 },
    { name: "zero", weight: 0 },
    { name: "b", weight: 3 },
  ]);
  const action = forwardOf(routes(route("r", prefix("/"), forward({ target }))).match(request("/"), 0));
  const picked = [0, 0.2499, 0.25, 0.9999].map((random) => action.pickCluster(request("/"), random).name);
  assert.deepEqual(picked, ["a", "a", "b", "b"]);
});

test("a weighted cluster brings its own headers and host", () => {
  const target = weighted([
    {
      name: "a",
      weight: 1,
      hostRewriteLiteral: "a.host",
      headers: { ...noHeaders, requestAdd: [option("x", "1")], responseRemove: ["y"] },
    },
  ]);
  const pick = forwardOf(routes(route("r", prefix("/"), forward({ target }))).match(request("/"), 0)).pickCluster(request("/"), 0);
  const asked = request("/", { fields: { y: "2" } });
  pick.requestHeaders?.apply(asked.headers, streamInfo());
  pick.responseHeaders?.apply(asked.headers, streamInfo());
  assert.deepEqual([pick.name, pick.hostRewrite, fieldsOf(asked.headers)], ["a", "a.host", ["x: 1"]]);
});

test("cluster_header names the cluster, and no header names none", () => {
  const action = forwardOf(
    routes(route("r", prefix("/"), forward({ target: { kind: "clusterHeader", name: "X-Cluster" } }))).match(request("/"), 0),
  );
  assert.equal(action.pickCluster(request("/", { fields: { "x-cluster": "c" } }), 0).name, "c");
  assert.equal(action.pickCluster(request("/"), 0).name, "");
});

test("filter overrides come from the most specific level that has them", () => {
  const entry = (config: string): Readonly<Record<string, { readonly disabled: boolean; readonly config: string }>> => ({
    f: { disabled: false, config },
  });
  const list = [
    route("own", exactPath("/own"), forward(), { typedPerFilterConfig: entry("route") }),
    route("off", exactPath("/off"), forward(), { typedPerFilterConfig: { f: { disabled: true } } }),
    route(
      "weighted",
      exactPath("/weighted"),
      forward({
        target: weighted([
          { name: "a", weight: 1, typedPerFilterConfig: entry("cluster") },
          { name: "b", weight: 1 },
        ]),
      }),
      { typedPerFilterConfig: entry("route") },
    ),
    route("inherits", prefix("/")),
  ];
  const built = table(
    config([host(["v"], list, { typedPerFilterConfig: entry("host") }), host(["c"], list.slice(3))], {
      typedPerFilterConfig: entry("config"),
    }),
  );
  const at = (authority: string, path: string, random = 0): unknown => built.match(request(path, { authority }), random)?.filterConfig("f");
  assert.deepEqual(at("v", "/own"), { disabled: false, config: "route", configs: ["config", "host", "route"] });
  assert.deepEqual(at("v", "/"), { disabled: false, config: "host", configs: ["config", "host"] });
  assert.deepEqual(at("c", "/"), { disabled: false, config: "config", configs: ["config"] });
  assert.deepEqual(at("v", "/off"), { disabled: true, config: "host", configs: ["config", "host"] });
  assert.deepEqual(at("v", "/weighted", 0.4), { disabled: false, config: "cluster", configs: ["config", "host", "route", "cluster"] });
  assert.deepEqual(at("v", "/weighted", 0.6), { disabled: false, config: "route", configs: ["config", "host", "route"] });
  assert.equal(built.match(request("/", { authority: "v" }), 0)?.filterConfig("other"), undefined);
  const drawn = forwardOf(built.match(request("/weighted", { authority: "v" }), 0.4));
  assert.equal(drawn.pickCluster(request("/"), 0.9).name, "a", "the cluster drawn with the route stays");
});

const hashes: readonly (readonly [
  title: string,
  policies: readonly HashPolicy[],
  expected: string | undefined,
  asked?: ReturnType<typeof request>,
])[] = [
  ["header", [{ kind: "header", name: "X-User", terminal: false }], "u", request("/", { fields: { "x-user": "u" } })],
  ["header that is absent", [{ kind: "header", name: "x-user", terminal: false }], undefined],
  ["query parameter", [{ kind: "queryParameter", name: "k", terminal: false }], "v", request("/?k=v")],
  ["source address", [{ kind: "sourceIp", terminal: false }], "127.0.0.1"],
  [
    "cookie that is there",
    [{ kind: "cookie", name: "sticky", ttlMs: 60_000, path: "/", attributes: [], terminal: false }],
    "abc",
    request("/", { fields: { cookie: 'a=b; sticky="abc"' } }),
  ],
  ["cookie without a ttl is not made", [{ kind: "cookie", name: "sticky", path: "/", attributes: [], terminal: false }], undefined],
  [
    "terminal policy",
    [
      { kind: "header", name: "x-user", terminal: true },
      { kind: "sourceIp", terminal: false },
    ],
    "u",
    request("/", { fields: { "x-user": "u" } }),
  ],
];

for (const [title, hashPolicy, expected, asked = request("/")] of hashes) {
  test(`hash by ${title}`, () => {
    const made = forwardOf(routes(route("r", prefix("/"), forward({ hashPolicy }))).match(asked, 0)).hash?.(asked, streamInfo(), () => 0);
    assert.deepEqual(made, { hash: expected === undefined ? undefined : xxHash64(expected) });
  });
}

test("several hash policies are combined and do not cancel each other out", () => {
  const hashPolicy: readonly HashPolicy[] = [
    { kind: "sourceIp", terminal: false },
    { kind: "sourceIp", terminal: false },
  ];
  const made = forwardOf(routes(route("r", prefix("/"), forward({ hashPolicy }))).match(request("/"), 0)).hash?.(
    request("/"),
    streamInfo(),
    () => 0,
  );
  const { hi, lo } = xxHash64("127.0.0.1");
  const turned = { hi: (hi << 1) | (lo >>> 31), lo: (lo << 1) | (hi >>> 31) };
  assert.deepEqual(made?.hash, { hi: (turned.hi ^ hi) >>> 0, lo: (turned.lo ^ lo) >>> 0 });
});

test("repeated headers hash alike in any order", () => {
  const { hash } = forwardOf(
    routes(route("r", prefix("/"), forward({ hashPolicy: [{ kind: "header", name: "x", terminal: false }] }))).match(request("/"), 0),
  );
  const one = request("/", { fields: { x: "1" } });
  one.headers.add("x", "2");
  const other = request("/", { fields: { x: "2" } });
  other.headers.add("x", "1");
  const single = request("/", { fields: { x: "1" } });
  assert.deepEqual(
    hash?.(one, streamInfo(), () => 0),
    hash?.(other, streamInfo(), () => 0),
  );
  assert.notDeepEqual(
    hash?.(one, streamInfo(), () => 0),
    hash?.(single, streamInfo(), () => 0),
  );
});

test("a missing sticky cookie is made from the connection's addresses, the same for all its requests", () => {
  const hashPolicy: readonly HashPolicy[] = [{ kind: "cookie", name: "sticky", ttlMs: 60_000, path: "/", attributes: [], terminal: false }];
  const { hash } = forwardOf(routes(route("r", prefix("/"), forward({ hashPolicy }))).match(request("/"), 0));
  const value = hashToHex(xxHash64("127.0.0.1:40000127.0.0.1:19000"));
  const expected = { hash: xxHash64(value), setCookie: `sticky="${value}"; Max-Age=60; Path=/; HttpOnly` };
  assert.deepEqual(
    hash?.(request("/"), streamInfo(), () => 0),
    expected,
  );
});

test("a session cookie has neither age nor path", () => {
  const hashPolicy: readonly HashPolicy[] = [{ kind: "cookie", name: "s", ttlMs: 0, path: "", attributes: [], terminal: false }];
  const { hash } = forwardOf(routes(route("r", prefix("/"), forward({ hashPolicy }))).match(request("/"), 0));
  assert.match(hash?.(request("/"), streamInfo(), () => 0).setCookie ?? "", /^s="[0-9a-f]{16}"; HttpOnly$/);
});

const ownCluster = (name: string, weight: number) => ({ name, weight, headers: noHeaders, typedPerFilterConfig: {} });

test("a header's number takes the place of chance among weighted clusters", () => {
  const clusters = [ownCluster("a", 10), ownCluster("b", 90)];
  const target = { kind: "weighted", clusters, totalWeight: 100, randomHeader: "X-Random" } as const;
  const action = forwardOf(routes(route("r", prefix("/"), forward({ target }))).match(request("/"), 0));
  const values = ["0", "9", "10", "99", "100", "109", "110", "18446744073709551615"];
  const picked = values.map((value) => action.pickCluster(request("/", { fields: { "x-random": value } }), 0.99).name);
  assert.deepEqual(picked, ["a", "a", "b", "b", "a", "a", "b", "b"]);
  for (const none of ["", "-1", "x"]) {
    assert.equal(action.pickCluster(request("/", { fields: { "x-random": none } }), 0.05).name, "a", `"${none}" is no number`);
  }
});

test("a weighted cluster may be named by a header, and have subsets of its own", () => {
  const clusters = [{ ...ownCluster("", 1), clusterHeader: "X-To", metadataMatch: { version: "v2" } }];
  const target = { kind: "weighted", clusters, totalWeight: 1 } as const;
  const action = forwardOf(
    routes(route("r", prefix("/"), forward({ target, metadataMatch: { version: "v1", zone: "z" } }))).match(request("/"), 0),
  );
  const picked = action.pickCluster(request("/", { fields: { "x-to": "c" } }), 0);
  assert.deepEqual([picked.name, picked.metadataMatch], ["c", { version: "v2", zone: "z" }]);
  assert.equal(action.pickCluster(request("/"), 0).name, "");
});

test("only what a rewrite leaves of a header is hashed", () => {
  const rewrite = { regex: "^(\\w+)-.*$", substitution: "\\1" };
  const hash = (value: string, policy: object): Hash64 | undefined =>
    forwardOf(
      routes(route("r", prefix("/"), forward({ hashPolicy: [{ kind: "header", name: "x-user", terminal: false, ...policy }] }))).match(
        request("/"),
        0,
      ),
    ).hash?.(request("/", { fields: { "x-user": value } }), streamInfo(), () => 0).hash;
  assert.deepEqual(hash("ann-1", { rewrite }), hash("ann-2", { rewrite }));
  assert.deepEqual(hash("ann-1", { rewrite }), hash("ann", {}));
  assert.notDeepEqual(hash("ann-1", {}), hash("ann-2", {}));
});

test("cookies are conditions of a route", () => {
  const cookie = { name: "user", matcher: { kind: "exact", value: "ann", ignoreCase: false }, invertMatch: false } as const;
  const with_ = (fields: Readonly<Record<string, string>>, invertMatch: boolean): boolean =>
    routes(route("r", prefix("/"), forward(), {}, { cookies: [{ ...cookie, invertMatch }] })).match(request("/", { fields }), 0) !==
    undefined;
  const cases: readonly (readonly [Readonly<Record<string, string>>, boolean])[] = [
    [{ cookie: "a=b; user=ann" }, true],
    [{ cookie: "user=bob" }, false],
    [{}, false],
  ];
  for (const [fields, matches] of cases) {
    assert.equal(with_(fields, false), matches, JSON.stringify(fields));
    assert.equal(with_(fields, true), !matches, `not ${JSON.stringify(fields)}`);
  }
});
