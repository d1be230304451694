// HTTP filters in TypeScript through a whole proxy: what scripts may do, and that one request's trouble is no other's.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { bootstrap, cluster, httpListener, startTestProxy, type TestProxy } from "../support/proxy.ts";
import { connectRaw, hasResponses, listenHttp, type OriginRequest, reply } from "../support/raw-http.ts";

const type = "type.googleapis.com/isthmus.filters.http.script.v1.Script";
const perRouteType = "type.googleapis.com/isthmus.filters.http.script.v1.ScriptPerRoute";
const router = { name: "router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } };

interface Lab {
  readonly proxy: TestProxy;
  readonly requests: readonly OriginRequest[];
  readonly file: string;
  /** The response to a request, head and body. */
  ask(path: string, more?: { readonly method?: string; readonly fields?: string; readonly body?: string }): Promise<string>;
  /** Replaces the module. */
  write(source: string): void;
}

interface LabOptions {
  readonly filter?: object;
  /** Of the filter's entry in http_filters. */
  readonly entry?: object;
  readonly manager?: object;
  readonly respond?: (request: OriginRequest) => void;
}

async function lab(t: TestContext, source: string, options: LabOptions = {}): Promise<Lab> {
  const folder = mkdtempSync(join(tmpdir(), "isthmus-script-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "filter.ts");
  writeFileSync(file, source);
  const requests: OriginRequest[] = [];
  const origin = await listenHttp((request) => {
    requests.push(request);
    if (options.respond) options.respond(request);
    else reply(request.socket, "hello");
  });
  t.after(() => origin.close());
  const manager = {
    http_filters: [{ name: "script", typed_config: { "@type": type, module: file, ...options.filter }, ...options.entry }, router],
    ...options.manager,
  };
  const proxy = await startTestProxy(t, bootstrap([httpListener("main", { manager })], [cluster("origin", origin.port)]));
  return {
    proxy,
    requests,
    file,
    write: (text) => writeFileSync(file, text),
    ask: async (path, { method = "GET", fields = "", body } = {}) => {
      const client = await connectRaw(proxy.port("main"));
      const length = body === undefined ? "" : `content-length: ${body.length}\r\n`;
      client.socket.write(`${method} ${path} HTTP/1.1\r\nHost: lab\r\n${fields}${length}\r\n${body ?? ""}`);
      const text = await client.until(hasResponses(1));
      client.socket.destroy();
      return text;
    },
  };
}

const headOf = (request: OriginRequest | undefined): string => [request?.line, ...(request?.fields ?? []), ""].join("\r\n");
const statusOf = (response: string): string => response.split(" ")[1] ?? "";

/** Asks until the answer is as wanted. */
async function until(ask: () => Promise<string>, wanted: (response: string) => boolean): Promise<string> {
  for (const deadline = Date.now() + 10_000; ;) {
    const response = await ask();
    if (wanted(response)) return response;
    if (Date.now() > deadline) throw new Error(`still ${response}`);
  }
}

test("headers, path, method and metadata of a request are the script's to read and change", async (t) => {
  const { ask, requests, proxy } = await lab(
    t,
    `import type { FilterContext, FilterRequest } from "isthmus/filter-api";
     export async function onRequestHeaders(request: FilterRequest, { config, metadata }: FilterContext<{ greeting: string }>): Promise<void> {
       await Promise.resolve();
       request.headers.set("x-seen", [request.method, request.path, request.authority, request.scheme, request.remoteAddress].join(" "));
       request.headers.append("x-twice", request.headers.get("x-twice") + "!");
       request.headers.delete("x-gone");
       request.headers.set("x-greeting", config.greeting);
       request.path = "/changed?by=script";
       request.method = "PUT";
       metadata.set("user", { name: "alice" });
     }`,
    { filter: { config: { greeting: "good day" } }, manager: metadataLog },
  );
  assert.equal(statusOf(await ask("/a?b", { fields: "x-twice: once\r\nx-gone: yes\r\n" })), "200");
  const [request] = requests;
  assert.match(headOf(request), /^PUT \/changed\?by=script HTTP\/1\.1\r\n/);
  assert.match(headOf(request), /x-seen: GET \/a\?b lab http 127\.0\.0\.1\r\n/);
  assert.match(headOf(request), /x-twice: once\r\n(.*\r\n)*x-twice: once!\r\n/);
  assert.match(headOf(request), /x-greeting: good day\r\n/);
  assert.doesNotMatch(headOf(request), /x-gone/);
  const [record] = await proxy.accessLog(1);
  assert.deepEqual(record!["metadata"], { user: { name: "alice" } });
});

const metadataLog = {
  access_log: [
    {
      name: "file",
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        path: "@ACCESS_LOG@",
        log_format: { json_format: { metadata: "%DYNAMIC_METADATA(isthmus.filters.http.script)%" } },
      },
    },
  ],
};

test("bodies of both directions are replaced, with their lengths", async (t) => {
  const { ask, requests } = await lab(
    t,
    `export function onRequestBody(body, request) { request.headers.set("x-length", String(body.length)); return new TextDecoder().decode(body).toUpperCase(); }
     export function onResponseBody(body, response) { response.headers.set("x-path", response.request.path); response.status = 203; return "<" + new TextDecoder().decode(body) + " wörld>"; }`,
  );
  const response = await ask("/b", { method: "POST", body: "some text" });
  assert.match(headOf(requests[0]), /content-length: 9\r\n/);
  assert.match(headOf(requests[0]), /x-length: 9\r\n/);
  assert.equal(requests[0]!.body, "SOME TEXT");
  assert.equal(statusOf(response), "203");
  assert.match(response, /x-path: \/b\r\n/);
  assert.match(response, /content-length: 14\r\n/);
  assert.ok(response.endsWith(Buffer.from("<hello wörld>").toString("latin1")), response);
});

test("state goes from hook to hook of one request, and a reply takes the response's place", async (t) => {
  const { ask, proxy } = await lab(
    t,
    `export function onRequestHeaders(request, { state }) { state.path = request.path; }
     export function onResponseHeaders(response, { state }) {
       if (state.path === "/hide") return { status: 418, headers: { "x-why": "hidden" }, body: "teapot" };
       response.headers.set("x-state", state.path);
     }`,
  );
  const [plain, hidden] = [await ask("/a"), await ask("/hide")];
  assert.match(plain, /x-state: \/a\r\n/);
  assert.ok(plain.endsWith("\r\n\r\nhello"), plain);
  assert.equal(statusOf(hidden), "418");
  assert.match(hidden, /x-why: hidden\r\n/);
  assert.ok(hidden.endsWith("\r\n\r\nteapot"), hidden);
  assert.deepEqual(outcomes(await proxy.accessLog(2)), ["/a 200 - via_upstream", "/hide 418 - script_reply"]);
});

const outcomes = (records: readonly Record<string, unknown>[]): readonly string[] =>
  records.map(({ path, status, flags, details }) => [path, status, flags ?? "-", details].join(" ")).toSorted();

test("a local reply ends the request, and keeps its connection", async (t) => {
  const { ask, requests, proxy } = await lab(
    t,
    `export async function onRequestHeaders(request) {
       if (request.headers.get("authorization") === undefined)
         return { status: 401, headers: { "content-type": "application/json", "www-authenticate": "Basic" }, body: '{"who":"?"}' };
     }`,
  );
  const refused = await ask("/x");
  assert.match(
    refused,
    /^HTTP\/1\.1 401 Unauthorized\r\ncontent-type: application\/json\r\nwww-authenticate: Basic\r\ncontent-length: 11\r\n/,
  );
  assert.doesNotMatch(refused, /connection: close/);
  assert.equal(requests.length, 0);
  assert.equal(statusOf(await ask("/x", { fields: "authorization: yes\r\n" })), "200");
  assert.equal(proxy.stat("http.main.script.replies"), 1);
});

for (const [title, source] of [
  ["thrown at once", `export function onRequestHeaders(request) { if (request.path === "/bad") throw new Error("no"); }`],
  ["thrown later", `export async function onRequestHeaders(request) { await 1; if (request.path === "/bad") throw "no"; }`],
  [
    "a header that cannot be",
    `export function onRequestHeaders(request) { if (request.path === "/bad") request.headers.set("x", "a\\r\\nb: c"); }`,
  ],
  [
    "a header that frames",
    `export function onRequestHeaders(request) { if (request.path === "/bad") request.headers.set("Content-Length", "0"); }`,
  ],
  ["a result that is none", `export function onRequestHeaders(request) { if (request.path === "/bad") return "text"; }`],
  ["a status that is none", `export function onRequestHeaders(request) { if (request.path === "/bad") return { status: 99 }; }`],
  ["of a response", `export function onResponseHeaders(response) { if (response.request.path === "/bad") throw new Error("no"); }`],
  [
    "of a response's body",
    `export async function onResponseBody(body, response) { if (response.request.path === "/bad") throw new Error("no"); }`,
  ],
] as const) {
  test(`an exception is a 500 with a flag of its own: ${title}`, async (t) => {
    const { ask, proxy } = await lab(t, source);
    const [good, bad, after] = await Promise.all([ask("/good"), ask("/bad"), ask("/after")]);
    assert.deepEqual([good, bad, after].map(statusOf), ["200", "500", "200"]);
    assert.ok(bad.endsWith("\r\n\r\n"), bad);
    assert.deepEqual(outcomes(await proxy.accessLog(3)), [
      "/after 200 - via_upstream",
      "/bad 500 SE script_exception",
      "/good 200 - via_upstream",
    ]);
    assert.equal(proxy.stat("http.main.script.exceptions"), 1);
    assert.equal(proxy.stat("script.thread_restarts"), 0);
  });
}

for (const [title, body, failure, restarted] of [
  ["loops", "for (;;);", "timeout", true],
  ["loops behind an await", "await new Promise((resolve) => setTimeout(resolve, 30)); for (;;);", "timeout", true],
  ["blocks in a native call", `process.getBuiltinModule("node:child_process").execSync("sleep 2");`, "timeout", true],
  ["never resolves", "await new Promise(() => {});", "timeout", false],
  ["takes all memory", "const all = []; for (;;) all.push({ some: [1, 2, 3] });", "out_of_memory", true],
  ["takes all memory outside of the heap", "const all = []; for (;;) all.push(new Uint8Array(1 << 20).fill(1));", "out_of_memory", true],
  ["ends its thread", "process.exit(1);", "unavailable", true],
] as const) {
  test(`a script that ${title} fails that request alone`, async (t) => {
    // Requests beside the bad one are within the script while it goes wrong, before it and behind it.
    const { ask, proxy } = await lab(
      t,
      `export async function onRequestHeaders(request: { path: string }) {
         if (request.path === "/bad") { ${body} }
         else await new Promise((resolve) => setTimeout(resolve, 60));
       }`,
      // Collecting garbage to the last byte takes its time.
      { filter: { timeout: failure === "out_of_memory" ? "10s" : "0.5s", memory_limit_mb: 32 } },
    );
    const paths = ["/1", "/2", "/bad", "/3", "/4"];
    const responses = await Promise.all(paths.map((path) => ask(path)));
    assert.deepEqual(responses.map(statusOf), ["200", "200", "500", "200", "200"]);
    assert.equal(statusOf(await ask("/after")), "200");
    const details = failure === "unavailable" ? "script_unavailable" : `script_${failure}`;
    assert.ok(outcomes(await proxy.accessLog(6)).includes(`/bad 500 SE ${details}`), outcomes(await proxy.accessLog(6)).join("; "));
    assert.equal(proxy.stat(`http.main.script.${failure === "timeout" ? "timeouts" : failure}`), 1);
    assert.equal(proxy.stat("script.thread_restarts") > 0, restarted);
  });
}

test("many bad requests at once leave the good ones alone", async (t) => {
  const { ask } = await lab(t, `export function onRequestHeaders(request) { if (request.path === "/bad") for (;;); }`, {
    filter: { timeout: "0.3s" },
  });
  const paths = Array.from({ length: 24 }, (_, i) => (i % 4 === 1 ? "/bad" : "/good"));
  const statuses = (await Promise.all(paths.map((path) => ask(path)))).map(statusOf);
  assert.deepEqual(
    statuses,
    paths.map((path) => (path === "/bad" ? "500" : "200")),
  );
});

test("what a module starts beside its hooks harms no request", async (t) => {
  const { ask } = await lab(
    t,
    `setInterval(() => { throw new Error("stray"); }, 5); export function onRequestHeaders() { void Promise.reject(new Error("left alone")); }`,
  );
  for (let i = 0; i < 3; i++) assert.equal(statusOf(await ask("/")), "200");
});

test("with fail_open messages go on as they were", async (t) => {
  const { ask, requests, proxy } = await lab(
    t,
    `export function onRequestHeaders(request) { request.headers.set("x-half", "done"); throw new Error("no"); }`,
    { filter: { fail_open: true } },
  );
  assert.equal(statusOf(await ask("/")), "200");
  assert.doesNotMatch(headOf(requests[0]), /x-half/);
  assert.equal(proxy.stat("http.main.script.failure_mode_allowed"), 1);
});

test("a body that is too large for the script is a 413 one way and a 500 the other", async (t) => {
  const { ask, proxy } = await lab(t, `export function onRequestBody() {} export function onResponseBody() {}`, {
    filter: { max_body_bytes: 100 },
    respond: ({ socket, line }) => reply(socket, "r".repeat(line.includes("/large") ? 101 : 100)),
  });
  const ask3 = [
    await ask("/fits", { method: "POST", body: "b".repeat(100) }),
    await ask("/up", { method: "POST", body: "b".repeat(101) }),
    await ask("/large"),
  ];
  assert.deepEqual(ask3.map(statusOf), ["200", "413", "500"]);
  assert.deepEqual(outcomes(await proxy.accessLog(3)), [
    "/fits 200 - via_upstream",
    "/large 500 - response_payload_too_large",
    "/up 413 - request_payload_too_large",
  ]);
});

test("a large body in pieces is seen whole, and one that is emptied is none", async (t) => {
  const large = "0123456789".repeat(60_000);
  const { ask, requests } = await lab(
    t,
    `export function onRequestBody(body) { return body.length === 600000 ? "" : undefined; }
     export function onResponseBody(body) { return String(body.length); }`,
    { respond: ({ socket }) => socket.write(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n927c0\r\n${large}\r\n0\r\n\r\n`) },
  );
  const response = await ask("/", { method: "POST", body: large });
  assert.match(response, /\r\n\r\n6\r\n600000\r\n0\r\n\r\n$/);
  assert.equal(requests[0]!.body, "");
  assert.match(headOf(requests[0]), /content-length: 0\r\n/);
});

test("routes leave the filter out or configure it otherwise", async (t) => {
  const override = (config: object): object => ({ script: { "@type": perRouteType, ...config } });
  const route = (prefix: string, more: object): object => ({ match: { prefix }, route: { cluster: "origin" }, ...more });
  const routes = [
    route("/off", { typed_per_filter_config: override({ disabled: true }) }),
    route("/other", { typed_per_filter_config: override({ config: { name: "other" } }) }),
    route("/", {}),
  ];
  const { ask } = await lab(t, `export function onResponseHeaders(response, { config }) { response.headers.set("x-name", config.name); }`, {
    filter: { config: { name: "usual" } },
    manager: { route_config: { name: "main", virtual_hosts: [{ name: "all", domains: ["*"], routes }] } },
  });
  const names = [await ask("/off"), await ask("/other"), await ask("/")].map((response) => /x-name: (\w+)/.exec(response)?.[1]);
  assert.deepEqual(names, [undefined, "other", "usual"]);
});

test("a disabled filter runs where a route has something for it, and nowhere else", async (t) => {
  const typed = { "@type": perRouteType, config: { name: "on" } };
  const routes = [
    { match: { prefix: "/on" }, route: { cluster: "origin" }, typed_per_filter_config: { script: typed } },
    { match: { prefix: "/" }, route: { cluster: "origin" } },
  ];
  const { ask } = await lab(t, `export function onResponseHeaders(response, { config }) { response.headers.set("x-name", config.name); }`, {
    entry: { disabled: true },
    manager: { route_config: { name: "main", virtual_hosts: [{ name: "all", domains: ["*"], routes }] } },
  });
  const names = [await ask("/on"), await ask("/")].map((response) => /x-name: (\w+)/.exec(response)?.[1]);
  assert.deepEqual(names, ["on", undefined]);
});

test("a changed module takes over; a broken one does not, and what is in force survives even a lost thread", async (t) => {
  const answer = (text: string): string =>
    `export function onRequestHeaders(request) { if (request.path === "/bad") for (;;); return { status: 200, body: "${text}" }; }`;
  const { ask, write, proxy } = await lab(t, answer("one"), { filter: { timeout: "0.2s" } });
  assert.ok((await ask("/")).endsWith("one"));
  write(answer("two"));
  await until(
    () => ask("/"),
    (response) => response.endsWith("two"),
  );
  write("export function onRequestHeaders( {");
  await until(
    () => ask("/"),
    () => proxy.stat("script.module_rejected") === 1,
  );
  assert.equal(statusOf(await ask("/bad")), "500");
  assert.ok((await ask("/")).endsWith("two"));
  write(answer("three"));
  await until(
    () => ask("/"),
    (response) => response.endsWith("three"),
  );
  assert.equal(proxy.stat("script.module_rejected"), 1);
});

test("what a module imports is part of it", async (t) => {
  const { ask, write, file } = await lab(t, `export function onRequestHeaders() { return { status: 200, body: "alone" }; }`);
  const imported = join(file, "..", "text.ts");
  writeFileSync(imported, `export const text: string = "first";`);
  write(`import { text } from "./text.ts"; export function onRequestHeaders() { return { status: 200, body: text }; }`);
  await until(
    () => ask("/"),
    (response) => response.endsWith("first"),
  );
  writeFileSync(imported, `export const text: string = "second";`);
  await until(
    () => ask("/"),
    (response) => response.endsWith("second"),
  );
});

for (const [title, source, problem] of [
  ["a syntax error", "\n\nexport function (", /filter\.ts:3: SyntaxError: Expected/],
  ["an import of nothing", `import "./nothing.ts";`, /filter\.ts: Error: Cannot find module '.*nothing\.ts' imported from/],
  ["an exception", `\nthrow new Error("not today");`, /filter\.ts:2: Error: not today/],
  ["no hooks", "export const a = 1;", /filter\.ts:1: exports none of onRequestHeaders, onRequestBody, onResponseHeaders, onResponseBody/],
  ["a hook that is no function", "export const onRequestBody = 1;", /filter\.ts:1: onRequestBody is no function/],
] as const) {
  test(`a start with a module that does not load is refused, with its place: ${title}`, async (t) => {
    await assert.rejects(lab(t, source), (error: Error) => problem.test(error.message) || assert.fail(error.message));
  });
}
