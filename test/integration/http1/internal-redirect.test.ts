// Redirects that the proxy follows in the client's place, on real sockets; all as Envoy 1.40 answers the same configuration.
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { accessLogPath, bootstrap, cluster, httpListener, startTestProxy, type TestProxy } from "../../support/proxy.ts";
import { connectRaw, hasResponses, listenHttp, reply } from "../../support/raw-http.ts";

const predicates = "type.googleapis.com/envoy.extensions.internal_redirect";
const predicate = (type: string, fields: object = {}): object => ({
  name: "p",
  typed_config: { "@type": `${predicates}.${type}`, ...fields },
});

const accessLog = {
  name: "envoy.access_loggers.file",
  typed_config: {
    "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
    path: accessLogPath,
    log_format: { json_format: { code: "%RESPONSE_CODE%", details: "%RESPONSE_CODE_DETAILS%", route: "%ROUTE_NAME%" } },
  },
};

interface Lab {
  readonly proxy: TestProxy;
  /** Requests as the origin got them: request line, the fields that redirects concern, body. */
  readonly seen: readonly string[];
  send(request: string): Promise<string>;
}

/** The origin answers /first with `status` and `location`, and everything else with its name. */
async function lab(t: TestContext, policy: object, location: string, status = "302 Found", more: object = {}): Promise<Lab> {
  const seen: string[] = [];
  const origin = await listenHttp(({ line, fields, body, socket }) => {
    const told = fields.filter((field) => /^(host|x-envoy-original-url|x-copied|x-gone|content-length):/.test(field));
    seen.push([line.replace(" HTTP/1.1", ""), ...told, ...(body === "" ? [] : [body])].join(" | "));
    if (line.includes(" /first")) reply(socket, "moved", status, `location: ${location}\r\nx-copied: 1\r\n`);
    else reply(socket, "arrived");
  });
  t.after(() => origin.close());
  const routes = [
    { match: { prefix: "/first" }, name: "first", route: { cluster: "origin", internal_redirect_policy: policy }, ...more },
    { match: { prefix: "/second" }, name: "second", route: { cluster: "origin" } },
    { match: { prefix: "/direct" }, name: "direct", direct_response: { status: 200, body: { inline_string: "direct" } } },
  ];
  const proxy = await startTestProxy(
    t,
    bootstrap([httpListener("main", { routes, manager: { access_log: [accessLog] } })], [cluster("origin", origin.port)]),
  );
  const send = async (request: string): Promise<string> => {
    const client = await connectRaw(proxy.port("main"));
    client.socket.write(request);
    const response = await client.until(hasResponses(1));
    client.socket.destroy();
    return `${response.slice(9, 12)} ${response.slice(response.indexOf("\r\n\r\n") + 4)}`;
  };
  return { proxy, seen, send };
}

const get = (fields = ""): string => `GET /first?a=b HTTP/1.1\r\nhost: lab\r\n${fields}\r\n`;
const post = (body: string): string => `POST /first HTTP/1.1\r\nhost: lab\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
const asked = "GET /first?a=b | host: lab";
const original = "x-envoy-original-url: http://lab/first";

interface Case {
  readonly name: string;
  readonly policy?: object;
  readonly location?: string;
  readonly status?: string;
  readonly request?: string;
  readonly route?: object;
  readonly answer: string;
  readonly seen: readonly string[];
  /** Status, details and route of each record. */
  readonly log: readonly string[];
  /** The stat of a redirect that is not followed, without its beginning. */
  readonly passed?: string;
}

const followed: Pick<Case, "answer" | "log"> = {
  answer: "200 arrived",
  log: ["302 internal_redirect second", "200 via_upstream second"],
};
const passedOn: Pick<Case, "answer" | "seen" | "log"> = {
  answer: "302 moved",
  seen: [asked],
  log: ["302 via_upstream first"],
};

const cases: readonly Case[] = [
  { name: "is followed, fragment left out", location: "http://b.lab:81/second?q#f", ...followed,
    seen: [asked, `GET /second?q | host: b.lab:81 | ${original}?a=b`] },
  { name: "leads to a direct response", location: "http://lab/direct", seen: [asked], answer: "200 direct",
    log: ["302 internal_redirect direct", "200 direct_response direct"] },
  { name: "of another status is passed on", status: "301 Moved", ...passedOn, answer: "301 moved", log: ["301 via_upstream first"] },
  { name: "of a listed status takes the body along", policy: { redirect_response_codes: [307] }, status: "307 Temporary", request: post("body"),
    answer: "200 arrived", seen: ["POST /first | host: lab | content-length: 4 | body", `POST /second | host: lab | content-length: 4 | ${original} | body`],
    log: ["307 internal_redirect second", "200 via_upstream second"] },
  { name: "303 becomes GET without the body", policy: { redirect_response_codes: [303] }, status: "303 See Other", request: post("body"),
    answer: "200 arrived", seen: ["POST /first | host: lab | content-length: 4 | body", `GET /second | host: lab | ${original}`],
    log: ["303 internal_redirect second", "200 via_upstream second"] },
  { name: "with a body that is more than is kept is passed on", policy: { redirect_response_codes: [307] }, status: "307 Temporary",
    request: post("x".repeat(11)), route: { per_request_buffer_limit_bytes: 10 },
    answer: "307 moved", seen: [`POST /first | host: lab | content-length: 11 | ${"x".repeat(11)}`], log: ["307 via_upstream first"] },
  { name: "without an absolute location is passed on", location: "/second", ...passedOn, passed: "bad_location" },
  { name: "to another scheme is passed on", location: "https://lab/second", ...passedOn, passed: "unsafe_scheme" },
  { name: "to another scheme is followed where that is allowed", policy: { allow_cross_scheme_redirect: true }, location: "https://lab/second",
    ...followed, seen: [asked, `GET /second | host: lab | ${original}?a=b`] },
  { name: "from http to https is none that safe_cross_scheme allows", location: "https://lab/second",
    policy: { allow_cross_scheme_redirect: true, predicates: [predicate("safe_cross_scheme.v3.SafeCrossSchemeConfig")] },
    ...passedOn, log: ["302 via_upstream second"], passed: "predicate" },
  { name: "to no route is passed on, and the record has no route", location: "http://lab/nowhere", ...passedOn,
    log: ["302 via_upstream "], passed: "no_route" },
  { name: "to itself ends with max_internal_redirects", policy: { max_internal_redirects: 2 }, location: "http://lab/first", answer: "302 moved",
    seen: [asked, `GET /first | host: lab | ${original}?a=b`, `GET /first | host: lab | ${original}`],
    log: ["302 internal_redirect first", "302 internal_redirect first", "302 via_upstream first"], passed: "too_many_redirects" },
  { name: "to a route gone to before ends with previous_routes", location: "http://lab/first",
    policy: { max_internal_redirects: 9, predicates: [predicate("previous_routes.v3.PreviousRoutesConfig")] }, answer: "302 moved",
    seen: [asked, `GET /first | host: lab | ${original}?a=b`],
    log: ["302 internal_redirect first", "302 via_upstream first"], passed: "predicate" },
  { name: "to a route that is not listed is passed on", ...passedOn, log: ["302 via_upstream second"], passed: "predicate",
    policy: { predicates: [predicate("allow_listed_routes.v3.AllowListedRoutesConfig", { allowed_route_names: ["other"] })] } },
  { name: "to a listed route is followed", ...followed, seen: [asked, `GET /second | host: lab | ${original}?a=b`],
    policy: { predicates: [predicate("allow_listed_routes.v3.AllowListedRoutesConfig", { allowed_route_names: ["second"] })] } },
  { name: "takes headers of the response along, and drops those it does not have", ...followed, request: get("x-copied: 0\r\nx-gone: 0\r\n"),
    policy: { response_headers_to_copy: ["x-copied", "x-gone"] },
    seen: [`${asked} | x-copied: 0 | x-gone: 0`, `GET /second | host: lab | x-copied: 1 | ${original}?a=b`] },
]; // prettier-ignore

for (const { name, policy, location, status, request, route, answer, seen, log, passed } of cases) {
  test(`a redirect ${name}`, async (t) => {
    const { proxy, seen: reached, send } = await lab(t, policy ?? {}, location ?? "http://lab/second", status, route);
    assert.equal(await send(request ?? get()), answer);
    assert.deepEqual(reached, seen);
    const records = await proxy.accessLog(log.length);
    assert.deepEqual(
      records.map(({ code, details, route: name }) => `${String(code)} ${String(details)} ${typeof name === "string" ? name : ""}`),
      log,
    );
    const followedCount = log.length - 1;
    assert.equal(proxy.stat("cluster.origin.upstream_internal_redirect_succeeded_total"), followedCount);
    if (passed !== undefined) {
      assert.equal(proxy.stat(`http.main.passthrough_internal_redirect_${passed}`), 1);
      assert.equal(proxy.stat("cluster.origin.upstream_internal_redirect_failed_total"), 1);
    }
    // The client asked once.
    assert.equal(proxy.stat("http.main.downstream_rq_completed"), 1);
  });
}

test("a connection goes on after a redirect that was followed", async (t) => {
  const { proxy } = await lab(t, {}, "http://lab/second");
  const client = await connectRaw(proxy.port("main"));
  client.socket.write(get() + get());
  const responses = await client.until(hasResponses(2));
  assert.equal(responses.match(/arrived/g)?.length, 2);
  client.socket.destroy();
});
