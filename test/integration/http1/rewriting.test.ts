// What routes make of paths, hosts and bodies by templates and formats, on real sockets; all as Envoy 1.40 answers the same configuration.
import assert from "node:assert/strict";
import { test } from "node:test";
import { bootstrap, cluster, httpListener, startTestProxy } from "../../support/proxy.ts";
import { connectRaw, hasResponses, listenHttp, reply } from "../../support/raw-http.ts";

const template = (text: string): object => ({
  path_match_policy: {
    name: "t",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
      path_template: text,
    },
  },
});
const rewrite = (text: string): object => ({
  path_rewrite_policy: {
    name: "r",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig",
      path_template_rewrite: text,
    },
  },
});
const add = (value: string, key = "x-a"): readonly object[] => [{ header: { key, value } }];

interface Case {
  readonly name: string;
  readonly match?: object;
  /** Of the forward action, or a route's other action. */
  readonly action: { readonly route?: object; readonly direct_response?: object };
  readonly route?: object;
  readonly path: string;
  readonly fields?: string;
  /** Lines that the origin must have got or, for direct responses, the client. */
  readonly lines: readonly string[];
}

const direct = (body_format: object, more: object = {}): Case["action"] => ({ direct_response: { status: 200, body_format, ...more } });
const source = (inline_string: string): object => ({ text_format_source: { inline_string } });

const cases: readonly Case[] = [
  { name: "a path template's variables in another path", match: template("/{a}/{b=**}"), action: { route: rewrite("/v/{b}/x/{a}") },
    path: "/one/two/three?q", lines: ["GET /v/two/three/x/one?q HTTP/1.1", "x-envoy-original-path: /one/two/three?q"] },
  { name: "a template's variable within a segment", match: template("/p/{a}"), action: { route: rewrite("/{a}.html") }, path: "/p/one",
    lines: ["GET /one.html HTTP/1.1"] },
  { name: "a formatted path", action: { route: { path_rewrite: "/z%REQ(x-h)%" } }, path: "/q?a=b", fields: "x-h: 1\r\n",
    lines: ["GET /z1?a=b HTTP/1.1", "x-envoy-original-path: /q?a=b"] },
  { name: "a formatted path that comes to nothing", action: { route: { path_rewrite: "%REQ(x-h)%" } }, path: "/q?a=b", lines: ["GET /q?a=b HTTP/1.1"] },
  { name: "a formatted host", action: { route: { host_rewrite: "%REQ(x-h)%.x", append_x_forwarded_host: true } }, path: "/", fields: "x-h: a\r\n",
    lines: ["host: a.x", "x-envoy-original-host: lab", "x-forwarded-host: lab"] },
  { name: "a formatted host whose operator has no value", action: { route: { host_rewrite: "a%REQ(x-h)%b" } }, path: "/", lines: ["host: a-b"] },
  { name: "metadata of the route", action: { route: {} }, path: "/", lines: ["x-a: [v] [5] [{\"p\":true}] []"],
    route: { metadata: { filter_metadata: { m: { k: "v", n: 5, o: { p: true } } } },
      request_headers_to_add: add("[%METADATA(ROUTE:m:k)%] [%METADATA(ROUTE:m:n)%] [%METADATA(ROUTE:m:o)%] [%METADATA(ROUTE:x:k)%]") } },
  { name: "no response timeout beside a max_stream_duration", action: { route: { timeout: "7s", max_stream_duration: { max_stream_duration: "9s" } } },
    path: "/", route: { request_headers_to_add: add("[%REQ(x-envoy-expected-rq-timeout-ms)%]") }, lines: ["x-a: []"] },
  { name: "the timeout that a gRPC request asks for", action: { route: { timeout: "7s", max_grpc_timeout: "0s" } }, path: "/",
    fields: "content-type: application/grpc\r\ngrpc-timeout: 4S\r\n", lines: ["grpc-timeout: 4000m", "x-envoy-expected-rq-timeout-ms: 4000"] },
  { name: "no more than the route's longest for gRPC", action: { route: { timeout: "7s", max_grpc_timeout: "3s" } }, path: "/",
    fields: "content-type: application/grpc\r\ngrpc-timeout: 4S\r\n", lines: ["grpc-timeout: 3000m", "x-envoy-expected-rq-timeout-ms: 3000"] },
  { name: "a formatted body", action: direct(source("<%LOCAL_REPLY_BODY%> %REQ(x-h)% %PROTOCOL%"), { body: { inline_string: "100%" } }), path: "/",
    lines: ["HTTP/1.1 200 OK", "content-length: 17", "content-type: text/plain", "<100%> - HTTP/1.1"] },
  { name: "a formatted body with its type", action: direct({ ...source("<b>%REQ(:PATH)%</b>"), content_type: "text/html" }), path: "/x",
    route: { response_headers_to_add: add("a/b", "content-type") }, lines: ["content-type: text/html", "content-length: 9", "<b>/x</b>"] },
  { name: "a formatted body without values", action: direct({ ...source("[%REQ(x-h)%]"), omit_empty_values: true }), path: "/", lines: ["[]"] },
  { name: "headers in front of what a body adds", action: { direct_response: { status: 200, body: { inline_string: "b" } } }, path: "/",
    route: { response_headers_to_add: add("1") }, lines: ["x-a: 1", "content-length: 1", "content-type: text/plain"] },
  { name: "no type without a body", action: { direct_response: { status: 200 } }, path: "/",
    route: { response_headers_to_add: [...add("text/html", "content-type"), ...add("1")] }, lines: ["HTTP/1.1 200 OK", "x-a: 1", "content-length: 0"] },
]; // prettier-ignore

test("routes rewrite as Envoy does", async (t) => {
  const seen: (readonly string[])[] = [];
  const origin = await listenHttp(({ line, fields, socket }) => {
    seen.push([line, ...fields]);
    reply(socket, "hello");
  });
  t.after(() => origin.close());
  const hosts = cases.map(({ match, action, route }, index) => ({
    name: `v${index}`,
    domains: [`case${index}`],
    routes: [
      {
        match: match ?? { prefix: "/" },
        ...(action.route ? { route: { cluster: "origin", ...action.route } } : action),
        ...route,
      },
    ],
  }));
  const manager = { route_config: { name: "r", virtual_hosts: hosts } };
  const proxy = await startTestProxy(t, bootstrap([httpListener("main", { manager })], [cluster("origin", origin.port)]));
  for (const [index, { name, action, path, fields, lines }] of cases.entries()) {
    await t.test(name, async () => {
      seen.length = 0;
      const client = await connectRaw(proxy.port("main"));
      client.socket.write(`GET ${path} HTTP/1.1\r\nhost: case${index}\r\n${fields ?? ""}\r\n`);
      const response = await client.until(hasResponses(1));
      client.socket.destroy();
      const got = action.route ? seen.flat().map((line) => line.replace(`case${index}`, "lab")) : response.split("\r\n");
      // In this order, whatever else there is.
      assert.deepEqual(
        got.filter((line) => lines.includes(line)),
        lines,
        got.join("\n"),
      );
      if (name === "no type without a body") assert.doesNotMatch(response, /content-type/);
    });
  }
});
