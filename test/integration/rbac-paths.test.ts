// Paths that try to get past a DENY rule, through a whole proxy under Istio's default path normalisation (BASE). The outcomes are
// those of Envoy 1.40 with the same configuration: nothing more lenient, and nothing a client of a mesh would see refused only here.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bootstrap, cluster, httpListener, startTestProxy } from "../support/proxy.ts";
import { connectRaw, hasResponses, listenHttp, reply } from "../support/raw-http.ts";

const template = (path: string): object => ({
  uri_template: {
    name: "uri-template",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
      path_template: path,
    },
  },
});

// As AuthorizationPolicy has them: paths [/admin, /admin/*, /t/{*}/x/{**}, /{**}/path/template].
const denied = [
  { url_path: { path: { exact: "/admin" } } },
  { url_path: { path: { prefix: "/admin/" } } },
  template("/t/*/x/**"),
  template("/**/path/template"),
];

const rbac = {
  name: "envoy.filters.http.rbac",
  typed_config: {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
    rules: { action: "DENY", policies: { p: { permissions: [{ or_rules: { rules: denied } }], principals: [{ any: true }] } } },
  },
};
const router = { name: "router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } };

const outcomes: readonly (readonly [target: string, status: number])[] = [
  ["/admin", 403],
  ["/admin/", 403],
  ["/admin/x", 403],
  ["/admin%2f", 200],
  ["/admin%2Fx", 200],
  ["//admin", 200],
  ["///admin", 200],
  ["/./admin", 403],
  ["/x/../admin", 403],
  ["/x/%2e%2e/admin", 403],
  ["/%2e/admin", 403],
  ["/ADMIN", 200],
  ["/Admin/x", 200],
  ["/admin;a=b", 200],
  ["/admin;/x", 200],
  ["/admin?x", 403],
  ["/admin#x", 400],
  ["/admin/../admin", 403],
  ["/admin/..", 200],
  ["/admin/.", 403],
  ["/admin//", 403],
  ["/%61dmin", 403],
  ["/admi%6e", 403],
  ["/admi%6E/x", 403],
  ["/admin%00", 400],
  ["/admin%20", 200],
  ["/admin\\x", 403],
  ["/x\\..\\admin", 403],
  ["/admin%5cx", 200],
  ["/admin%23", 200],
  ["/admin%3fx", 200],
  ["/..;/admin", 403],
  ["/.;/admin", 403],
  ["/admin/%2e%2e/x", 200],
  ["/x/..%2fadmin", 200],
  ["/%2fadmin", 200],
  ["/admin.", 200],
  ["/admin%", 200],
  ["/admin%2", 200],
  ["/%2561dmin", 200],
  ["http://lab/admin", 403],
  ["http://lab//admin", 200],
  ["/t/a/x/b/c", 403],
  ["/t/a%2fb/x/y", 403],
  ["/t//x/y", 200],
  ["/t/a/x/", 403],
  ["/t/a/x", 200],
  ["/a/b/path/template", 403],
  ["//path/template", 403],
  ["/path/template", 200],
  ["/s", 200],
  ["/log", 200],
];

test("no spelling of a denied path gets past the rule that Envoy would hold back", async (t) => {
  const origin = await listenHttp(({ socket }) => reply(socket, "in"));
  t.after(() => origin.close());
  const manager = { normalize_path: true, path_with_escaped_slashes_action: "KEEP_UNCHANGED", http_filters: [rbac, router] };
  const proxy = await startTestProxy(t, bootstrap([httpListener("main", { manager })], [cluster("origin", origin.port)]));
  const seen: (readonly [string, number])[] = [];
  for (const [target] of outcomes) {
    const client = await connectRaw(proxy.port("main"));
    client.socket.write(`GET ${target} HTTP/1.1\r\nHost: lab\r\n\r\n`);
    seen.push([target, Number((await client.until(hasResponses(1))).slice(9, 12))]);
    client.socket.destroy();
  }
  assert.deepEqual(seen, outcomes);
});
