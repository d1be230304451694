// Request mirroring on real sockets: what the mirror gets, and that nothing it does is felt by the request it got a copy of.
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { bootstrap, cluster, httpListener, startTestProxy, type TestProxy } from "../../support/proxy.ts";
import { connectRaw, hasResponses, listenHttp, listenRaw, reply, type OriginRequest, type TestServer } from "../../support/raw-http.ts";
import { until } from "../../support/l4-proxy.ts";

interface Lab {
  readonly proxy: TestProxy;
  readonly port: number;
  /** What the mirror got. */
  readonly copies: OriginRequest[];
}

const route = (mirrors: readonly object[], action: object = {}, match: object = { prefix: "/" }): object => ({
  match,
  route: { cluster: "origin", request_mirror_policies: mirrors, ...action },
});

async function lab(t: TestContext, routes: readonly object[], mirrorOptions: object = {}, mirror?: TestServer): Promise<Lab> {
  const copies: OriginRequest[] = [];
  const origin = await listenHttp(({ socket, body }) => reply(socket, `origin ${body}`));
  const shadow =
    mirror ??
    (await listenHttp((request) => {
      copies.push(request);
      reply(request.socket, "from the mirror", "500 Broken");
    }));
  t.after(() => Promise.all([origin.close(), shadow.close()]).then(() => undefined));
  const clusters = [cluster("origin", origin.port), cluster("mirror", shadow.port, mirrorOptions)];
  const proxy = await startTestProxy(t, bootstrap([httpListener("main", { routes })], clusters));
  return { proxy, port: proxy.port("main"), copies };
}

async function ask(port: number, request: string): Promise<string> {
  const client = await connectRaw(port);
  client.socket.write(request);
  const response = await client.until(hasResponses(1));
  client.socket.destroy();
  return response;
}

const get = (path: string, extra = ""): string => `GET ${path} HTTP/1.1\r\nHost: lab:81\r\n${extra}\r\n`;

test("the mirror gets the request as it goes upstream, under a shadow's name, and its answer is dropped", async (t) => {
  const more = { prefix_rewrite: "/new" };
  const { proxy, port, copies } = await lab(t, [route([{ cluster: "mirror" }], more, { prefix: "/old" })]);
  assert.match(await ask(port, get("/old/x?q", "X-Forwarded-For: 10.1.1.1\r\n")), /^HTTP\/1\.1 200 OK\r\n(?:.+\r\n)+\r\norigin $/);
  await until(() => copies.length === 1);
  assert.equal(copies[0]!.line, "GET /new/x?q HTTP/1.1");
  const fields = copies[0]!.fields;
  assert.equal(fields[0], "host: lab-shadow:81");
  assert.ok(fields.includes("x-envoy-internal: true"), fields.join("\n"));
  assert.ok(fields.includes("x-envoy-original-path: /old/x?q"), fields.join("\n"));
  assert.match(
    fields.find((field) => field.startsWith("x-forwarded-for"))!,
    /^x-forwarded-for: 10\.1\.1\.1,\d+\.\d+\.\d+\.\d+$/,
  );
  await until(() => proxy.stat("cluster.mirror.upstream_rq_500") === 1);
  await until(() => proxy.stat("cluster.mirror.upstream_rq_active") === 0);
  assert.equal(proxy.stat("cluster.mirror.upstream_rq_total"), 1);
  assert.equal(proxy.stat("cluster.origin.upstream_rq_500"), 0);
});

test("bodies are copied, and the second copy goes over the connection of the first", async (t) => {
  const { port, copies } = await lab(t, [route([{ cluster: "mirror" }])]);
  assert.ok((await ask(port, "POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 5\r\n\r\nhello")).endsWith("origin hello"));
  await until(() => copies.length === 1);
  const chunked = "POST / HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n";
  await ask(port, chunked);
  await until(() => copies.length === 2);
  assert.equal(copies[0]!.body, "hello");
  assert.match(copies[1]!.body, /abc.*def/s);
  assert.equal(copies[1]!.socket, copies[0]!.socket);
});

const choices: readonly (readonly [string, readonly object[], string, readonly string[]])[] = [
  ["every one of several", [{ cluster: "mirror" }, { cluster: "mirror" }], "", ["lab-shadow:81", "lab-shadow:81"]],
  ["none by a share of 0", [{ cluster: "mirror", runtime_fraction: { default_value: { numerator: 0 } } }], "", []],
  ["under its own name", [{ cluster: "mirror", disable_shadow_host_suffix_append: true }], "", ["lab:81"]],
  ["by header", [{ cluster_header: "X-Mirror" }], "X-Mirror: mirror\r\n", ["lab-shadow:81"]],
  ["by a header that names nothing", [{ cluster_header: "X-Mirror" }], "X-Mirror: nothing\r\n", []],
  ["by a header that is not there", [{ cluster_header: "X-Mirror" }], "", []],
];

for (const [name, mirrors, fields, hosts] of choices) {
  test(`copies: ${name}`, async (t) => {
    // A copy of the last request, on a route of its own, says that those of the first have come.
    const last = route([{ cluster: "mirror" }], {}, { path: "/last" });
    const { port, copies } = await lab(t, [last, route(mirrors)]);
    await ask(port, get("/", fields));
    await until(() => copies.length === hosts.length);
    await ask(port, get("/last"));
    await until(() => copies.some(({ line }) => line.includes("/last")));
    assert.deepEqual(
      copies.filter(({ line }) => !line.includes("/last")).map(({ fields: [host = ""] }) => host),
      hosts.map((host) => `host: ${host}`),
    );
  });
}

test("virtual hosts mirror for routes that do not say otherwise", async (t) => {
  const copies: string[] = [];
  const origin = await listenHttp(({ socket }) => reply(socket, "origin"));
  const shadow = await listenHttp(({ line, socket }) => {
    copies.push(line);
    reply(socket, "");
  });
  t.after(() => Promise.all([origin.close(), shadow.close()]).then(() => undefined));
  const listener = httpListener("main", {
    manager: {
      route_config: {
        name: "r",
        virtual_hosts: [
          {
            name: "all",
            domains: ["*"],
            request_mirror_policies: [{ cluster: "mirror" }],
            routes: [route([{ cluster: "origin" }], {}, { path: "/own" }), route([])],
          },
        ],
      },
    },
  });
  const proxy = await startTestProxy(t, bootstrap([listener], [cluster("origin", origin.port), cluster("mirror", shadow.port)]));
  await ask(proxy.port("main"), get("/own"));
  await ask(proxy.port("main"), get("/inherited"));
  await until(() => copies.length === 1);
  assert.deepEqual(copies, ["GET /inherited HTTP/1.1"]);
});

test("a mirror that cannot be reached fails alone", async (t) => {
  const closed = await listenHttp(() => undefined);
  await closed.close();
  const { proxy, port } = await lab(t, [route([{ cluster: "mirror" }])], {}, { ...closed, close: () => Promise.resolve() });
  assert.match(await ask(port, get("/")), /^HTTP\/1\.1 200 /);
  await until(() => proxy.stat("cluster.mirror.upstream_rq_503") === 1);
});

test("a mirror that reads nothing costs its copy and no more than the buffer limit", async (t) => {
  const deaf = await listenRaw((socket) => void socket.pause());
  // More than the sockets' own buffers take.
  const length = 24 << 20;
  const counting = await listenRaw((socket) => {
    let bytes = 0;
    socket.on("data", (data: Buffer) => {
      bytes += data.length;
      if (bytes >= length) reply(socket, "all");
    });
  });
  t.after(() => Promise.all([counting.close(), deaf.close()]).then(() => undefined));
  const clusters = [cluster("origin", counting.port), cluster("mirror", deaf.port)];
  const proxy = await startTestProxy(t, bootstrap([httpListener("main", { routes: [route([{ cluster: "mirror" }])] })], clusters));
  const client = await connectRaw(proxy.port("main"));
  client.socket.write(`POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: ${length}\r\n\r\n`);
  client.socket.write(Buffer.alloc(length));
  assert.ok((await client.until(hasResponses(1))).endsWith("all"));
  await until(() => proxy.stat("cluster.mirror.upstream_cx_destroy_local_with_active_rq") === 1);
  await until(() => proxy.stat("cluster.mirror.upstream_rq_active") === 0);
});

test("a copy that is never answered ends with the route's timeout", async (t) => {
  const silent = await listenRaw((socket) => void socket.resume());
  const { proxy, port } = await lab(t, [route([{ cluster: "mirror" }], { timeout: "0.1s" })], {}, silent);
  assert.match(await ask(port, get("/")), /^HTTP\/1\.1 200 /);
  await until(() => proxy.stat("cluster.mirror.upstream_rq_timeout") === 1);
  await until(() => proxy.stat("cluster.mirror.upstream_rq_active") === 0);
  assert.equal(proxy.stat("cluster.origin.upstream_rq_timeout"), 0);
});

test("copies count in the mirror's circuit breaker, not in the origin's", async (t) => {
  const silent = await listenRaw((socket) => void socket.resume());
  const breakers = { circuit_breakers: { thresholds: [{ max_requests: 1 }] } };
  const { proxy, port } = await lab(t, [route([{ cluster: "mirror" }])], breakers, silent);
  await ask(port, get("/1"));
  await until(() => proxy.stat("cluster.mirror.upstream_rq_active") === 1);
  assert.match(await ask(port, get("/2")), /^HTTP\/1\.1 200 /);
  await until(() => proxy.stat("cluster.mirror.upstream_rq_active_overflow") === 1);
  assert.equal(proxy.stat("cluster.mirror.upstream_rq_total"), 1);
});

test("a request that its client gives up takes its unfinished copy along", async (t) => {
  const silent = await listenRaw((socket) => void socket.resume());
  const { proxy, port } = await lab(t, [route([{ cluster: "mirror" }])], {}, silent);
  const client = await connectRaw(port);
  client.socket.write("POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 10\r\n\r\nhalf");
  await until(() => proxy.stat("cluster.mirror.upstream_rq_active") === 1);
  client.socket.destroy();
  await until(() => proxy.stat("cluster.mirror.upstream_cx_destroy_local_with_active_rq") === 1);
  await until(() => proxy.stat("cluster.mirror.upstream_rq_active") === 0);
});
