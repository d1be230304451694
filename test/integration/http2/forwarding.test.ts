// HTTP/2 on either side of the proxy, and on both: heads, bodies, trailers, interim responses, resets.
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { connectH2, explicitHttp2, listenH2, protocolOptions, requestH2, type H2Origin } from "../../support/h2-origin.ts";
import { bootstrap, cluster, httpListener, startTestProxy, type TestProxy } from "../../support/proxy.ts";
import { connectRaw, listenHttp, reply } from "../../support/raw-http.ts";

const sized = (count: number): Buffer => Buffer.alloc(count, "isthmus ");

async function overH2(
  t: TestContext,
  onStream: Parameters<typeof listenH2>[1],
  more: {
    readonly cluster?: object;
    readonly manager?: object;
    readonly route?: object;
    readonly settings?: Parameters<typeof listenH2>[2];
  } = {},
): Promise<{ readonly proxy: TestProxy; readonly origin: H2Origin; readonly port: number }> {
  const origin = await listenH2(t, onStream, more.settings);
  const listener = httpListener("main", {
    ...(more.manager && { manager: more.manager }),
    routes: [{ match: { prefix: "/" }, route: { cluster: "origin", ...more.route } }],
  });
  const proxy = await startTestProxy(t, bootstrap([listener], [cluster("origin", origin.port, more.cluster ?? explicitHttp2)]));
  return { proxy, origin, port: proxy.port("main") };
}

test("a request goes from HTTP/2 to an HTTP/1.1 origin and back", async (t) => {
  const origin = await listenHttp(({ socket, line, fields, body }) => reply(socket, JSON.stringify({ line, fields, body })));
  t.after(() => origin.close());
  const proxy = await startTestProxy(t, bootstrap([httpListener("main")], [cluster("origin", origin.port)]));
  const client = connectH2(t, proxy.port("main"));
  const head = { ":method": "POST", ":path": "/a?b", ":authority": "lab.test", "x-a": "1", cookie: ["a=1", "b=2"], te: "trailers" };
  const got = await requestH2(client, head, "hello");
  assert.equal(got.status, 200);
  const seen = JSON.parse(got.body) as { line: string; fields: string[]; body: string };
  assert.equal(seen.line, "POST /a?b HTTP/1.1");
  for (const field of ["host: lab.test", "x-a: 1", "cookie: a=1; b=2", "te: trailers", "transfer-encoding: chunked"])
    assert.ok(seen.fields.includes(field), field);
  assert.match(seen.body, /^5\r\nhello\r\n/);
  assert.equal(got.headers["connection"], undefined);
  const [record] = await proxy.accessLog(1);
  assert.deepEqual([record!["status"], record!["received"], record!["details"]], [200, 5, "via_upstream"]);
  assert.equal(proxy.stat("http.main.downstream_cx_http2_total"), 1);
});

test("HTTP/1.1 and HTTP/2 clients share a listener, told apart by their first bytes", async (t) => {
  const { port } = await overH2(t, (stream) => {
    stream.respond({ ":status": 200 });
    stream.end("x");
  });
  const one = await requestH2(connectH2(t, port), { ":path": "/" });
  const { socket } = await connectRaw(port);
  const text = new Promise<string>((resolve) => socket.once("data", (data: Buffer) => resolve(data.toString("latin1"))));
  socket.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
  assert.deepEqual([one.status, (await text).slice(0, 15)], [200, "HTTP/1.1 200 OK"]);
  socket.destroy();
});

test("a preface that comes byte by byte is HTTP/2 all the same", async (t) => {
  const { port } = await overH2(t, (stream) => {
    stream.respond({ ":status": 204 }, { endStream: true });
  });
  const { socket } = await connectRaw(port);
  socket.removeAllListeners("data");
  const frame = new Promise<Buffer>((resolve) => socket.once("data", resolve));
  socket.setNoDelay(true);
  for (const byte of Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")) {
    socket.write(Buffer.from([byte]));
    await new Promise((resolve) => setImmediate(resolve));
  }
  // Its own SETTINGS frame, on stream 0.
  assert.deepEqual([...(await frame).subarray(3, 9)], [4, 0, 0, 0, 0, 0]);
  socket.destroy();
});

test("trailers and interim responses pass in both directions", async (t) => {
  const { port } = await overH2(t, (stream) => {
    let last: unknown;
    stream.on("trailers", (head: Record<string, unknown>) => (last = head["x-sum"]));
    stream.resume();
    stream.on("end", () => {
      stream.additionalHeaders({ ":status": 103 });
      stream.respond({ ":status": 200 }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0", "x-sum-seen": String(last) }));
      stream.end("body");
    });
  });
  const got = await requestH2(connectH2(t, port), { ":method": "POST", ":path": "/" }, "abc", { "x-sum": "7" });
  assert.deepEqual([got.status, got.body, got.trailers?.["grpc-status"], got.trailers?.["x-sum-seen"]], [200, "body", "0", "7"]);
});

test("many exchanges share one connection to the origin, in order of nobody", async (t) => {
  const { port, origin, proxy } = await overH2(t, (stream, headers) => {
    stream.respond({ ":status": 200 });
    setImmediate(() => stream.end(String(headers[":path"])));
  });
  const client = connectH2(t, port);
  const got = await Promise.all(Array.from({ length: 200 }, (_, i) => requestH2(client, { ":path": `/${i}` })));
  got.forEach(({ body }, i) => assert.equal(body, `/${i}`));
  assert.equal(origin.sessions.length, 1);
  assert.deepEqual([proxy.stat("cluster.origin.upstream_cx_http2_total"), proxy.stat("cluster.origin.upstream_rq_total")], [1, 200]);
});

test("an origin's limit of concurrent streams is kept", async (t) => {
  let active = 0;
  let most = 0;
  const { port, origin } = await overH2(
    t,
    (stream) => {
      most = Math.max(most, ++active);
      setTimeout(() => {
        active--;
        stream.respond({ ":status": 200 }, { endStream: true });
      }, 2);
    },
    { settings: { maxConcurrentStreams: 3 }, cluster: { ...explicitHttp2, circuit_breakers: { thresholds: [{ max_connections: 1 }] } } },
  );
  const client = connectH2(t, port);
  assert.equal((await requestH2(client, { ":path": "/warm" })).status, 200);
  const got = await Promise.all(Array.from({ length: 20 }, () => requestH2(client, { ":path": "/" })));
  assert.ok(got.every(({ status }) => status === 200));
  assert.deepEqual([most, origin.sessions.length], [3, 1]);
});

for (const [title, windows] of [
  ["the usual windows", {}],
  ["the smallest windows", { initial_stream_window_size: 65_535, initial_connection_window_size: 65_535 }],
] as const) {
  test(`bodies of 20 MB pass both ways with ${title}`, async (t) => {
    const body = sized(20_000_000);
    const { port } = await overH2(
      t,
      (stream) => {
        stream.respond({ ":status": 200 });
        stream.pipe(stream);
      },
      {
        manager: { http2_protocol_options: windows },
        cluster: protocolOptions({ explicit_http_config: { http2_protocol_options: windows } }),
      },
    );
    const client = connectH2(t, port);
    const got = await Promise.all([1, 2, 3].map(() => requestH2(client, { ":method": "POST", ":path": "/" }, body)));
    for (const { body: echoed, code } of got) assert.ok(code === 0 && body.equals(Buffer.from(echoed, "latin1")));
  });
}

const resets: readonly [string, number, number, string, string][] = [
  ["RST_STREAM", 2, 503, "UR", "upstream_reset_before_response_started{remote_reset}"],
  ["REFUSED_STREAM", 7, 503, "UR", "upstream_reset_before_response_started{remote_refused_stream_reset}"],
];
for (const [title, code, status, flags, details] of resets) {
  test(`an origin's ${title} before the response is ${status}`, async (t) => {
    const { port, proxy } = await overH2(t, (stream) => stream.close(code));
    assert.equal((await requestH2(connectH2(t, port), { ":path": "/" })).status, status);
    const [record] = await proxy.accessLog(1);
    assert.deepEqual([record!["flags"], record!["details"]], [flags, details]);
  });
}

test("a refused stream is retried where the route says so", async (t) => {
  let tries = 0;
  const { port } = await overH2(
    t,
    (stream) => {
      if (++tries < 3) stream.close(7);
      else stream.respond({ ":status": 200 }, { endStream: true });
    },
    { route: { retry_policy: { retry_on: "refused-stream", num_retries: 2, retry_back_off: { base_interval: "0.001s" } } } },
  );
  assert.deepEqual([(await requestH2(connectH2(t, port), { ":path": "/" })).status, tries], [200, 3]);
});

test("a response that breaks off in its body ends in INTERNAL_ERROR", async (t) => {
  const { port, proxy } = await overH2(t, (stream) => {
    stream.respond({ ":status": 200 });
    stream.write("part", () => stream.destroy(new Error("broken")));
  });
  const got = await requestH2(connectH2(t, port), { ":path": "/" });
  assert.deepEqual([got.status, got.body, got.code], [200, "part", 2]);
  const [record] = await proxy.accessLog(1);
  assert.deepEqual([record!["flags"], record!["details"]], ["UR", "upstream_reset_after_response_started{remote_reset}"]);
});

test("a client that cancels has its stream upstream cancelled, and nothing else", async (t) => {
  const cancelled = Promise.withResolvers<number>();
  const { port, proxy } = await overH2(t, (stream, headers) => {
    if (headers[":path"] === "/slow") stream.on("close", () => cancelled.resolve(stream.rstCode ?? -1));
    else stream.respond({ ":status": 200 }, { endStream: true });
    if (headers[":path"] === "/slow") client.emit("reached");
  });
  const client = connectH2(t, port);
  const slow = client.request({ ":path": "/slow" });
  slow.on("error", () => undefined);
  client.on("reached", () => slow.close(8));
  assert.equal(await cancelled.promise, 8);
  assert.equal((await requestH2(client, { ":path": "/" })).status, 200);
  const [record] = await proxy.accessLog(1);
  assert.deepEqual([record!["status"], record!["flags"], record!["details"]], [0, "DR", "http2.remote_reset"]);
});

test("an origin's GOAWAY moves what follows to another connection; what it never looked at is sent again", async (t) => {
  let streams = 0;
  const { port, origin } = await overH2(t, (stream) => {
    streams++;
    if (streams === 2) {
      // As if stream 3 had crossed the GOAWAY: not looked at.
      stream.session?.goaway(0, 1);
      return;
    }
    stream.respond({ ":status": 200 }, { endStream: true });
  });
  const client = connectH2(t, port);
  for (const path of ["/1", "/2", "/3"]) assert.equal((await requestH2(client, { ":path": path })).status, 200);
  assert.equal(origin.sessions.length, 2);
});

test("max_requests_per_connection holds upstream", async (t) => {
  const { port, origin } = await overH2(t, (stream) => stream.respond({ ":status": 200 }, { endStream: true }), {
    cluster: protocolOptions({
      common_http_protocol_options: { max_requests_per_connection: 2 },
      explicit_http_config: { http2_protocol_options: {} },
    }),
  });
  const client = connectH2(t, port);
  for (let i = 0; i < 5; i++) assert.equal((await requestH2(client, { ":path": "/" })).status, 200);
  assert.equal(origin.sessions.length, 3);
});

test("use_downstream_protocol_config keeps the client's protocol", async (t) => {
  const { port } = await overH2(
    t,
    (stream) => {
      stream.respond({ ":status": 200 });
      stream.end("h2");
    },
    { cluster: protocolOptions({ use_downstream_protocol_config: { http_protocol_options: {}, http2_protocol_options: {} } }) },
  );
  assert.equal((await requestH2(connectH2(t, port), { ":path": "/" })).body, "h2");
});

test("a connection that idles too long is closed with GOAWAY", async (t) => {
  const { port } = await overH2(t, (stream) => stream.respond({ ":status": 200 }, { endStream: true }), {
    manager: { common_http_protocol_options: { idle_timeout: "0.05s" }, drain_timeout: "0.02s" },
  });
  const client = connectH2(t, port);
  const goaway = new Promise<number>((resolve) => client.once("goaway", resolve));
  await requestH2(client, { ":path": "/" });
  assert.equal(await goaway, 0);
  await new Promise<void>((resolve) => (client.closed ? resolve() : client.once("close", () => resolve())));
});
