// What the README and config/filters/ show is what happens: their modules and configurations, on real sockets.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { parse } from "yaml";
import { bootstrap, cluster, httpListener, startTestProxy } from "../support/proxy.ts";
import { connectRaw, hasResponses, listenHttp, type OriginRequest, reply } from "../support/raw-http.ts";

const root = new URL("../../", import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, root), "utf8");

interface Sample {
  readonly requests: readonly OriginRequest[];
  ask(head: string, body?: string): Promise<string>;
}

/** A proxy with these filters, whose module is given an absolute path: the bootstrap of a test is in a folder of its own. */
async function sample(t: TestContext, folder: string, filters: unknown, json: string): Promise<Sample> {
  const requests: OriginRequest[] = [];
  const origin = await listenHttp((request) => {
    requests.push(request);
    reply(request.socket, json, "200 OK", "content-type: application/json\r\n");
  });
  t.after(() => origin.close());
  const text = JSON.stringify(filters).replaceAll('"./', `"${folder}/`);
  const manager = { http_filters: JSON.parse(text) as unknown };
  const proxy = await startTestProxy(t, bootstrap([httpListener("main", { manager })], [cluster("origin", origin.port)]));
  return {
    requests,
    ask: async (head, body = "") => {
      const client = await connectRaw(proxy.port("main"));
      client.socket.write(`${head}\r\nHost: lab\r\n${body === "" ? "" : `content-length: ${body.length}\r\n`}\r\n${body}`);
      const response = await client.until(hasResponses(1));
      client.socket.destroy();
      return response;
    },
  };
}

test("the README's filter does what it says", async (t) => {
  const [, section = ""] = read("README.md").split("\n## Filters in TypeScript\n");
  const [, source = ""] = /```ts\n([\s\S]*?)```/.exec(section) ?? [];
  const [, yaml = ""] = /```yaml\n([\s\S]*?)```/.exec(section) ?? [];
  const folder = mkdtempSync(join(tmpdir(), "isthmus-readme-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "tenant.ts"), source);
  const { ask, requests } = await sample(t, folder, (parse(yaml) as { http_filters: unknown }).http_filters, "{}");
  const refused = await ask("GET /menu HTTP/1.1\r\nx-tenant: hooli");
  assert.match(refused, /^HTTP\/1\.1 403 Forbidden\r\n/);
  assert.ok(refused.endsWith("hooli is no tenant\n"), refused);
  const served = await ask("GET /menu HTTP/1.1\r\nx-tenant: acme");
  assert.match(served, /^HTTP\/1\.1 200 OK\r\n(.*\r\n)*x-served-for: acme\r\n/);
  assert.deepEqual(
    requests.map(({ line }) => line),
    ["GET /acme/menu HTTP/1.1"],
  );
});

test("the sample under config/filters does what it says", async (t) => {
  const written = parse(read("config/filters/redact.yaml")) as {
    static_resources: { listeners: { filter_chains: { filters: { typed_config: { http_filters: unknown } }[] }[] }[] };
  };
  const { http_filters: filters } = written.static_resources.listeners[0]!.filter_chains[0]!.filters[0]!.typed_config;
  const folder = new URL("config/filters", root).pathname;
  const { ask, requests } = await sample(t, folder, filters, '{"user":{"name":"a","password":"secret"},"card":"1234"}');
  const served = await ask("POST / HTTP/1.1\r\nx-caller: me", '{"a":1}');
  assert.ok(served.endsWith('\r\n\r\n{"user":{"name":"a","password":"***"},"card":"***"}'), served);
  assert.deepEqual(
    requests[0]!.fields.filter((field) => field.startsWith("x-caller")),
    [],
  );
  assert.match(await ask("POST / HTTP/1.1", "{"), /^HTTP\/1\.1 400 Bad Request\r\n(.*\r\n)*\r\n\{"error":"the body is no JSON"\}$/);
  assert.equal(requests.length, 1);
});
