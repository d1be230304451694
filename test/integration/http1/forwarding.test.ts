// HTTP/1.1 through a whole proxy on real sockets: what the origin and the client see.
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { accessLog, bootstrap, cluster, httpListener, startTestProxy, type TestProxy } from "../../support/proxy.ts";
import { connectRaw, hasResponses, listenHttp, listenRaw, reply, type OriginRequest, type TestServer } from "../../support/raw-http.ts";

interface Lab {
  readonly proxy: TestProxy;
  readonly origin: TestServer;
  readonly requests: OriginRequest[];
  readonly port: number;
}

async function lab(
  t: TestContext,
  respond: (request: OriginRequest) => void,
  options: Parameters<typeof httpListener>[1] = {},
): Promise<Lab> {
  const requests: OriginRequest[] = [];
  const origin = await listenHttp((request) => {
    requests.push(request);
    respond(request);
  });
  t.after(() => origin.close());
  const proxy = await startTestProxy(t, bootstrap([httpListener("main", options)], [cluster("origin", origin.port)]));
  return { proxy, origin, requests, port: proxy.port("main") };
}

const get = (path: string, extra = ""): string => `GET ${path} HTTP/1.1\r\nHost: lab\r\n${extra}\r\n`;

test("forwards a request with normalised fields and the proxy's own", async (t) => {
  const { port, requests } = await lab(t, ({ socket }) => reply(socket, "hello", "200 Whatever", "X-Up: 1\r\nServer: origin\r\n"));
  const client = await connectRaw(port);
  client.socket.write(get("/a?b=c", "X-Custom: Keep\r\nX-F: a\r\n b\r\nConnection: X-Drop\r\nX-Drop: 1\r\n"));
  const response = await client.until(hasResponses(1));
  assert.match(
    response,
    /^HTTP\/1\.1 200 OK\r\nx-up: 1\r\nserver: envoy\r\ncontent-length: 5\r\nx-envoy-upstream-service-time: \d+\r\ndate: [^\r]+ GMT\r\n\r\nhello$/,
  );
  assert.equal(requests[0]!.line, "GET /a?b=c HTTP/1.1");
  assert.deepEqual(
    requests[0]!.fields.map((field) => field.replace(/^(x-request-id: ).*/, "$1<id>")),
    ["host: lab", "x-custom: Keep", "x-f: a b", "x-forwarded-proto: http", "x-request-id: <id>", "x-envoy-expected-rq-timeout-ms: 15000"],
  );
});

test("answers pipelined requests in order over one upstream connection", async (t) => {
  const { port, origin } = await lab(t, ({ line, socket }) => reply(socket, line.split(" ")[1]!));
  const client = await connectRaw(port);
  client.socket.write(get("/1") + get("/2") + get("/3"));
  const text = await client.until(hasResponses(3));
  assert.deepEqual(text.match(/\/\d$|\/\d(?=HTTP)/gm), ["/1", "/2", "/3"]);
  assert.equal(origin.accepted, 1);
});

test("chunked bodies pass both ways, trailers are dropped", async (t) => {
  const { port, requests } = await lab(t, ({ socket }) =>
    socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX-T: v\r\n\r\n"),
  );
  const client = await connectRaw(port);
  client.socket.write("POST /x HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: v\r\n\r\n");
  assert.ok((await client.until(hasResponses(1))).endsWith("\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"));
  assert.equal(requests[0]!.body, "5\r\nhello\r\n0\r\n\r\n");
});

test("HEAD, 204 and 304 end without a body and leave the connection usable", async (t) => {
  const { port } = await lab(t, ({ line, socket }) => {
    const path = line.split(" ")[1];
    if (path === "/204") socket.write("HTTP/1.1 204 No Content\r\n\r\n");
    else if (path === "/304") socket.write("HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n");
    else if (path === "/head") socket.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    else reply(socket, "last");
  });
  const client = await connectRaw(port);
  client.socket.write(`HEAD /head HTTP/1.1\r\nHost: lab\r\n\r\n${get("/204")}${get("/304")}${get("/end")}`);
  const text = await client.until((received) => received.endsWith("last"));
  assert.deepEqual(text.match(/HTTP\/1\.1 \d+/g), ["HTTP/1.1 200", "HTTP/1.1 204", "HTTP/1.1 304", "HTTP/1.1 200"]);
});

test("a response framed by the end of its connection becomes chunked", async (t) => {
  const { port } = await lab(t, ({ socket }) => socket.end("HTTP/1.1 200 OK\r\n\r\nuntil close"));
  const client = await connectRaw(port);
  client.socket.write(get("/"));
  assert.ok((await client.until(hasResponses(1))).endsWith("b\r\nuntil close\r\n0\r\n\r\n"));
});

test("100-continue is answered by the proxy, other interim responses are dropped", async (t) => {
  const { port, requests } = await lab(t, ({ socket }) => {
    socket.write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    reply(socket, "done");
  });
  const client = await connectRaw(port);
  client.socket.write("POST / HTTP/1.1\r\nHost: lab\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  assert.equal(await client.until((text) => text.includes("\r\n\r\n")), "HTTP/1.1 100 Continue\r\n\r\n");
  client.socket.write("ok");
  const text = await client.until((received) => received.endsWith("done"));
  assert.doesNotMatch(text, /103/);
  assert.equal(requests[0]!.fields.includes("expect: 100-continue"), false);
});

test("an upgrade becomes a tunnel both ways, and only after the 101", async (t) => {
  const origin = await listenRaw((socket) => {
    let seen = "";
    socket.on("data", (chunk: Buffer) => {
      seen += chunk.toString("latin1");
      const end = seen.indexOf("\r\n\r\n");
      if (end < 0) return;
      if (seen.startsWith("GET")) {
        assert.equal(seen.slice(end + 4), "", "no byte of the tunnel may come before the 101");
        seen = "";
        socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello");
        socket.removeAllListeners("data");
        socket.on("data", (data: Buffer) => socket.write(data));
      }
    });
  });
  t.after(() => origin.close());
  const listener = httpListener("main", { manager: { upgrade_configs: [{ upgrade_type: "websocket" }] } });
  const proxy = await startTestProxy(t, bootstrap([listener], [cluster("origin", origin.port)]));
  const client = await connectRaw(proxy.port("main"));
  client.socket.write(get("/ws", "Connection: Upgrade\r\nUpgrade: websocket\r\n") + "early");
  const text = await client.until((received) => received.endsWith("helloearly"));
  assert.match(text, /^HTTP\/1\.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n/);
  client.socket.write("ping");
  await client.until((received) => received.endsWith("ping"));
  client.socket.end();
  await client.ended;
});

test("an upgrade that the route does not allow is refused with 403", async (t) => {
  const { port, requests } = await lab(t, ({ socket }) => reply(socket, ""));
  const client = await connectRaw(port);
  client.socket.write(get("/ws", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
  assert.match(await client.until(hasResponses(1)), /^HTTP\/1\.1 403 Forbidden\r\n.*connection: close\r\n/s);
  assert.equal(requests.length, 0);
});

const badRequests: readonly (readonly [string, string, number, string])[] = [
  ["a request without Host", "GET / HTTP/1.1\r\n\r\n", 400, "missing_host_header"],
  [
    "TE with CL",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
    400,
    "http1.content_length_and_chunked_not_allowed",
  ],
  ["an unknown coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n", 501, "http1.invalid_transfer_encoding"],
  ["a space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "http1.codec_error"],
  ["HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", 426, "low_version"],
  ["too many fields", `GET / HTTP/1.1\r\nHost: a\r\n${"a: b\r\n".repeat(101)}\r\n`, 431, "http1.too_many_headers"],
];
test("malformed requests are answered, logged once and cost the connection", async (t) => {
  const { port, proxy, requests } = await lab(t, ({ socket }) => reply(socket, ""), {
    manager: { access_log: accessLog, delayed_close_timeout: "0.05s" },
  });
  for (const [what, text, status, details] of badRequests) {
    const client = await connectRaw(port);
    client.socket.write(text);
    assert.match(await client.until(hasResponses(1)), new RegExp(`^HTTP/1\\.1 ${status} .*connection: close`, "s"), what);
    assert.equal(await client.ended, "fin", what);
    void details;
  }
  const log = await proxy.accessLog(badRequests.length);
  assert.deepEqual(
    log.map(({ status, details }) => [status, details]),
    badRequests.map(([, , status, details]) => [status, details]),
  );
  assert.equal(requests.length, 0);
});

test("a broken chunk in the middle of a request is answered 400 and does not reach the origin as a complete request", async (t) => {
  const { port, requests } = await lab(t, ({ socket }) => reply(socket, ""));
  const client = await connectRaw(port);
  client.socket.write("POST / HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcXX0\r\n\r\n");
  assert.match(await client.until(hasResponses(1)), /^HTTP\/1\.1 400 /);
  assert.equal(requests.length, 0);
});

const upstreamFaults: readonly (readonly [string, (request: OriginRequest) => void, number, string, string])[] = [
  ["closes before headers", ({ socket }) => socket.end(), 503, "UC", "upstream_reset_before_response_started{connection_termination}"],
  [
    "resets before headers",
    ({ socket }) => socket.resetAndDestroy(),
    503,
    "UC",
    "upstream_reset_before_response_started{connection_termination}",
  ],
  [
    "answers garbage",
    ({ socket }) => socket.end("this is not http\r\n\r\n"),
    502,
    "UPE",
    "upstream_reset_before_response_started{protocol_error}",
  ],
  [
    "sends two lengths",
    ({ socket }) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na"),
    502,
    "UPE",
    "upstream_reset_before_response_started{protocol_error}",
  ],
];
test("faults of the origin become Envoy's statuses, flags and details", async (t) => {
  let respond: (request: OriginRequest) => void = () => undefined;
  const { port, proxy } = await lab(t, (request) => respond(request));
  for (const [what, fault, status] of upstreamFaults) {
    respond = fault;
    const client = await connectRaw(port);
    client.socket.write(get("/"));
    assert.match(await client.until(hasResponses(1)), new RegExp(`^HTTP/1\\.1 ${status} `), what);
    client.socket.destroy();
  }
  const log = await proxy.accessLog(upstreamFaults.length);
  assert.deepEqual(
    log.map(({ flags, details }) => [flags, details]),
    upstreamFaults.map(([, , , flags, details]) => [flags, details]),
  );
});

test("a response cut short after its headers ends the connection without looking complete", async (t) => {
  const { port, proxy } = await lab(
    t,
    ({ socket }) => {
      socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
      setImmediate(() => socket.destroy());
    },
    { manager: { access_log: accessLog, delayed_close_timeout: "0.05s" } },
  );
  const client = await connectRaw(port);
  client.socket.write(get("/"));
  await client.ended;
  assert.ok(client.received.endsWith("5\r\nhello\r\n"));
  const [record] = await proxy.accessLog(1);
  assert.deepEqual(
    [record!["status"], record!["flags"], record!["details"]],
    [200, "UPE", "upstream_reset_after_response_started{protocol_error}"],
  );
});

test("a client that leaves takes its upstream request with it", async (t) => {
  let gone: () => void = () => undefined;
  const closed = new Promise<void>((resolve) => (gone = resolve));
  let arrived: () => void = () => undefined;
  const received = new Promise<void>((resolve) => (arrived = resolve));
  const { port, proxy } = await lab(t, ({ socket }) => {
    socket.once("close", gone);
    arrived();
  });
  const client = await connectRaw(port);
  client.socket.write(get("/slow"));
  await received;
  client.socket.destroy();
  await closed;
  const [record] = await proxy.accessLog(1);
  assert.deepEqual([record!["status"], record!["flags"], record!["details"]], [0, "DC", "downstream_remote_disconnect"]);
});

test("no request is lost to an origin that closes its connection after every answer without saying so", async (t) => {
  const { port, proxy } = await lab(t, ({ socket }) => {
    reply(socket, "x");
    socket.end();
  });
  const client = await connectRaw(port);
  for (let i = 1; i <= 200; i++) {
    client.socket.write(get(`/${i}`));
    await client.until(hasResponses(i));
  }
  assert.equal(client.received.match(/HTTP\/1\.1 200/g)!.length, 200);
  assert.equal(proxy.stat("cluster.origin.upstream_rq_total") >= 200, true);
});

test("HTTP/1.0 is served where it is accepted, with its own framing", async (t) => {
  const { port } = await lab(
    t,
    ({ socket }) => socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    {
      manager: { http_protocol_options: { accept_http_10: true, default_host_for_http_10: "default.host" } },
    },
  );
  const client = await connectRaw(port);
  client.socket.write("GET / HTTP/1.0\r\n\r\n");
  assert.equal(await client.ended, "fin");
  assert.match(client.received, /^HTTP\/1\.0 200 OK\r\n.*connection: close\r\n\r\nhello$/s);
});

test("a head that comes byte by byte is served, and one without an end is refused at the limit", async (t) => {
  const { port, requests } = await lab(t, ({ socket }) => reply(socket, "whole"));
  const slow = await connectRaw(port);
  slow.socket.setNoDelay(true);
  for (const byte of get("/slow", "X-A: b\r\n folded\r\n")) {
    slow.socket.write(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.match(await slow.until(hasResponses(1)), /whole$/);
  assert.ok(requests[0]!.fields.includes("x-a: b folded"));
  const endless = await connectRaw(port);
  endless.socket.write("GET / HTTP/1.1\r\nHost: lab\r\nX: ");
  for (let i = 0; i < 61 && !endless.received; i++) {
    endless.socket.write("a".repeat(1024));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.match(await endless.until(hasResponses(1)), /^HTTP\/1\.1 431 /);
});
