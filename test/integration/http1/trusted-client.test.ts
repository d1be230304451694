// Who the client is behind other proxies, and what a trusted one may ask for by header, on real sockets.
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { bootstrap, cluster, httpListener, startTestProxy } from "../../support/proxy.ts";
import { connectRaw, hasResponses, listenHttp, reply } from "../../support/raw-http.ts";

const internal = { internal_address_config: { cidr_ranges: [{ address_prefix: "10.0.0.0", prefix_len: 8 }] } };
const router = {
  name: "envoy.filters.http.router",
  typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
};

/** Answers 503 to the first request and 200 to the next ones; or never, where the path says so. */
async function lab(t: TestContext, manager: object, routes?: readonly object[]) {
  const lines: (readonly string[])[] = [];
  const origin = await listenHttp(({ line, fields, socket }) => {
    lines.push(fields);
    if (!line.includes("/silent")) reply(socket, "", lines.length === 1 ? "503 Busy" : "200 OK");
  });
  t.after(() => origin.close());
  const proxy = await startTestProxy(
    t,
    bootstrap([httpListener("main", { manager, ...(routes && { routes }) })], [cluster("origin", origin.port)]),
  );
  const ask = async (path: string, fields: string): Promise<string> => {
    const client = await connectRaw(proxy.port("main"));
    client.socket.write(`GET ${path} HTTP/1.1\r\nHost: lab\r\n${fields}\r\n`);
    const response = await client.until(hasResponses(1));
    client.socket.destroy();
    return response;
  };
  return { proxy, ask, lines };
}

test("a trusted client has its request tried again, and its headers go no further", async (t) => {
  const { ask, lines } = await lab(t, internal);
  const response = await ask("/", "X-Forwarded-For: 10.1.1.1\r\nX-Envoy-Retry-On: 5xx\r\nX-Envoy-Max-Retries: 1\r\n");
  assert.match(response, /^HTTP\/1\.1 200 /);
  assert.equal(lines.length, 2);
  assert.ok(
    lines.flat().every((field) => !/retry-on|max-retries/.test(field)),
    lines.flat().join("\n"),
  );
  assert.ok(lines[0]!.includes("x-envoy-internal: true"));
});

test("a trusted client says how long it waits", async (t) => {
  const { ask, proxy } = await lab(t, internal);
  const timeout = "X-Forwarded-For: 10.1.1.1\r\nX-Envoy-Upstream-Rq-Timeout-Ms: 50\r\n";
  assert.match(await ask("/silent", timeout), /^HTTP\/1\.1 504 [^]*upstream request timeout$/);
  assert.match(await ask("/silent", `${timeout}X-Envoy-Upstream-Rq-Timeout-Alt-Response: 1\r\n`), /^HTTP\/1\.1 204 /);
  assert.deepEqual(
    (await proxy.accessLog(2)).map(({ details }) => details),
    ["response_timeout", "response_timeout"],
  );
});

const untrusted: readonly (readonly [string, object, string])[] = [
  ["from elsewhere", internal, "X-Forwarded-For: 11.1.1.1\r\n"],
  ["whose address another proxy added to", internal, "X-Forwarded-For: 10.1.1.1, 10.2.2.2\r\n"],
  ["without x-forwarded-for", internal, ""],
  ["where no ranges are internal", {}, "X-Forwarded-For: 10.1.1.1\r\n"],
  ["that names itself internal to an edge", { ...internal, use_remote_address: true }, "X-Forwarded-For: 10.1.1.1\r\n"],
];
for (const [who, manager, forwarded] of untrusted) {
  test(`nobody else may ask: a client ${who}`, async (t) => {
    const { ask, lines } = await lab(t, manager);
    const response = await ask("/", `${forwarded}X-Envoy-Retry-On: 5xx\r\nX-Envoy-Internal: true\r\n`);
    assert.match(response, /^HTTP\/1\.1 503 /);
    assert.ok(
      lines.flat().every((field) => !/retry-on|x-envoy-internal/.test(field)),
      lines.flat().join("\n"),
    );
  });
}

const rbac = {
  name: "envoy.filters.http.rbac",
  typed_config: {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
    rules: {
      action: "DENY",
      policies: {
        banned: { permissions: [{ any: true }], principals: [{ remote_ip: { address_prefix: "203.0.113.0", prefix_len: 24 } }] },
      },
    },
  },
};
// The manager, x-forwarded-for, and whether the address that is banned is the client's.
const banned: readonly (readonly [string, object, string, boolean])[] = [
  ["the one entry of a trusted proxy's header", {}, "203.0.113.9", true],
  ["an entry that the client may have made up", {}, "203.0.113.9, 198.51.100.1", false],
  ["the entry behind one trusted hop", { xff_num_trusted_hops: 1 }, "203.0.113.9, 198.51.100.1", true],
  ["a header that an edge does not believe", { use_remote_address: true }, "203.0.113.9", false],
  ["what a trusted hop before an edge saw", { use_remote_address: true, xff_num_trusted_hops: 1 }, "203.0.113.9", true],
];
for (const [what, manager, forwarded, denied] of banned) {
  test(`remote_ip is${denied ? "" : " not"} ${what}`, async (t) => {
    const direct = [{ match: { prefix: "/" }, direct_response: { status: 200 } }];
    const { ask } = await lab(t, { ...manager, http_filters: [rbac, router] }, direct);
    assert.match(await ask("/", `X-Forwarded-For: ${forwarded}\r\n`), denied ? /^HTTP\/1\.1 403 / : /^HTTP\/1\.1 200 /);
  });
}
