// gRPC-Web through a whole proxy, to a real HTTP/2 origin.
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { explicitHttp2, listenH2 } from "../../support/h2-origin.ts";
import { bootstrap, cluster, httpListener, startTestProxy, type TestProxy } from "../../support/proxy.ts";
import { connectRaw } from "../../support/raw-http.ts";

const router = { name: "router", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } };
const web = { name: "web", typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.grpc_web.v3.GrpcWeb" } };

interface Seen {
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

function answer(stream: ServerHttp2Stream, path: string, body: Buffer): void {
  if (path === "/plain") {
    stream.respond({ ":status": 200, "content-type": "text/plain" });
    stream.end("no grpc é%");
  } else if (path === "/large") {
    stream.respond({ ":status": 503, "content-type": "text/plain" });
    stream.write("x".repeat(10_000));
    stream.end("y".repeat(100_000));
  } else if (path === "/bare")
    stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "5" }, { endStream: true });
  else {
    stream.respond({ ":status": 200, "content-type": "application/grpc", "content-length": body.length }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0", "x-tail": "a b" }));
    stream.end(body);
  }
}

async function lab(t: TestContext): Promise<{ readonly proxy: TestProxy; readonly port: number; readonly seen: readonly Seen[] }> {
  const seen: Seen[] = [];
  const origin = await listenH2(t, (stream, headers) => {
    const pieces: Buffer[] = [];
    stream.on("data", (piece: Buffer) => pieces.push(piece));
    stream.on("end", () => {
      if (stream.rstCode !== 0) return;
      seen.push({ headers, body: Buffer.concat(pieces) });
      answer(stream, headers[":path"] ?? "", Buffer.concat(pieces));
    });
  });
  const manager = { http_filters: [web, router] };
  const proxy = await startTestProxy(t, bootstrap([httpListener("main", { manager })], [cluster("origin", origin.port, explicitHttp2)]));
  return { proxy, port: proxy.port("main"), seen };
}

interface WebReply {
  readonly status: number;
  readonly head: string;
  readonly body: Buffer;
}

/** Posts on a connection of its own and reads until it closes. */
async function post(port: number, path: string, type: string, accept: string, ...pieces: readonly (string | Buffer)[]): Promise<WebReply> {
  const client = await connectRaw(port);
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  client.socket.write(
    `POST ${path} HTTP/1.1\r\nhost: lab\r\nconnection: close\r\ncontent-type: ${type}\r\naccept: ${accept}\r\ncontent-length: ${length}\r\n\r\n`,
  );
  for (const piece of pieces) {
    client.socket.write(piece);
    await new Promise(setImmediate);
  }
  await client.ended;
  const end = client.received.indexOf("\r\n\r\n");
  const head = client.received.slice(0, end);
  let rest = client.received.slice(end + 4);
  let body = "";
  if (/\r\ntransfer-encoding: chunked/.test(head)) {
    for (let size = parseInt(rest, 16); size > 0; size = parseInt(rest, 16)) {
      const at = rest.indexOf("\r\n") + 2;
      body += rest.slice(at, at + size);
      rest = rest.slice(at + size + 2);
    }
  } else body = rest;
  return { status: Number(head.split(" ")[1]), head, body: Buffer.from(body, "latin1") };
}

const frame = (text: string, flag = 0): Buffer => Buffer.concat([Buffer.from([flag, 0, 0, 0, text.length]), Buffer.from(text)]);
const trailers = frame("grpc-status:0\r\nx-tail:a b\r\n", 0x80);
const base64 = (bytes: Buffer): string => bytes.toString("base64");
const binaryType = "application/grpc-web";
const textType = "application/grpc-web-text";

suite("calls", () => {
  for (const [title, type, accept, pieces, responseType, body] of [
    ["binary", binaryType, binaryType, [frame("hi")], `${binaryType}+proto`, Buffer.concat([frame("hi"), trailers])],
    ["binary as proto", `${binaryType}+proto`, "*/*", [frame("hi")], `${binaryType}+proto`, Buffer.concat([frame("hi"), trailers])],
    ["text both ways", textType, textType, [base64(frame("hi"))], `${textType}+proto`, base64(frame("hi")) + base64(trailers)],
    ["text up only", `${textType}+proto`, binaryType, [base64(frame("hi"))], `${binaryType}+proto`, Buffer.concat([frame("hi"), trailers])],
    [
      "text in pieces",
      textType,
      `${textType}+proto`,
      [base64(frame("hello")).slice(0, 5), base64(frame("hello")).slice(5)],
      `${textType}+proto`,
      base64(frame("hello")) + base64(trailers),
    ],
    [
      "several messages as text",
      binaryType,
      textType,
      [frame("one"), frame("three")],
      `${textType}+proto`,
      base64(frame("one")) + base64(frame("three")) + base64(trailers),
    ],
  ] as const) {
    test(title, async (t) => {
      const { port, seen } = await lab(t);
      const reply = await post(port, "/test.Echo/Unary", type, accept, ...pieces);
      assert.equal(reply.status, 200);
      assert.match(reply.head, new RegExp(`\r\ncontent-type: ${responseType.replaceAll("+", "\\+")}(\r\n|$)`));
      assert.deepEqual(reply.body, Buffer.from(body));
      const { headers } = seen[0]!;
      assert.deepEqual(
        [headers["content-type"], headers["te"], headers["grpc-accept-encoding"], headers["content-length"]],
        ["application/grpc", "trailers", "identity", undefined],
      );
    });
  }
});

suite("answers that are no gRPC become a status", () => {
  for (const [path, accept, status, type, fields] of [
    ["/plain", binaryType, 200, `${binaryType}+proto`, ["grpc-message: no grpc %C3%A9%25", "grpc-status: 2", "content-length: 0"]],
    ["/bare", textType, 200, `${textType}+proto`, ["grpc-status: 5", "content-length: 0"]],
    ["/large", binaryType, 503, `${binaryType}+proto`, ["grpc-status: 14", "content-length: 0"]],
  ] as const) {
    test(path, async (t) => {
      const { port } = await lab(t);
      const reply = await post(port, path, binaryType, accept, frame("x"));
      assert.equal(reply.status, status);
      for (const field of [`content-type: ${type}`, ...fields]) assert.ok(reply.head.includes(`\r\n${field}`), `${field} in ${reply.head}`);
      assert.equal(reply.body.length, 0);
      const message = /\r\ngrpc-message: ([^\r]*)/.exec(reply.head)?.[1] ?? "";
      if (path === "/large") assert.equal(message.length, 16_384);
    });
  }
});

suite("text that is no base64 is refused", () => {
  for (const [text, details] of [
    ["abc", "grpc_base_64_decode_failed_bad_size"],
    ["ab$=", "grpc_base_64_decode_failed"],
  ] as const) {
    test(text, async (t) => {
      const { port, proxy, seen } = await lab(t);
      const reply = await post(port, "/test.Echo/Unary", textType, textType, text);
      assert.equal(reply.status, 400);
      assert.match(reply.head, /\r\ngrpc-message: Bad gRPC-web request, invalid base64 data\.\r\ngrpc-status: 13\r\ncontent-length: 0/);
      const [record] = await proxy.accessLog(1);
      assert.equal(record!["details"], details);
      assert.equal(seen.length, 0);
    });
  }
});

test("other requests are left alone", async (t) => {
  const { port, seen } = await lab(t);
  const reply = await post(port, "/plain", "text/plain", "*/*", "hello");
  assert.match(reply.head, /\r\ncontent-type: text\/plain/);
  assert.equal(seen[0]!.headers["content-type"], "text/plain");
});
