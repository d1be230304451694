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
    http_filters: [{ name: "script", typed_config: { "@type": type, module: file, ...options.filter } }, router],
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
  assert.match(request!.head, /^PUT \/changed\?by=script HTTP\/1\.1\r\n/);
  assert.match(request!.head, /x-seen: GET \/a\?b lab http 127\.0\.0\.1\r\n/);
  assert.match(request!.head, /x-twice: once\r\n(.*\r\n)*x-twice: once!\r\n/);
  assert.match(request!.head, /x-greeting: good day\r\n/);
  assert.doesNotMatch(request!.head, /x-gone/);
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
  assert.match(requests[0]!.head, /content-length: 9\r\n/);
  assert.match(requests[0]!.head, /x-length: 9\r\n/);
  assert.equal(requests[0]!.body.toString(), "SOME TEXT");
  assert.equal(statusOf(response), "203");
  assert.match(response, /x-path: \/b\r\n/);
  assert.match(response, /content-length: 14\r\n/);
  assert.ok(response.endsWith(Buffer.from("<hello wörld>").toString("latin1")), response);
});
