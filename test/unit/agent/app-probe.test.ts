import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, RequestListener } from "node:http";
import { createServer as createHttp2 } from "node:http2";
import type { ServerHttp2Stream } from "node:http2";
import { createServer as createTcp } from "node:net";
import type { AddressInfo, Server } from "node:net";
import { suite, test, type TestContext } from "node:test";
import { answerProbe } from "../../../src/agent/app-probe.ts";
import type { AppProbe } from "../../../src/agent/settings.ts";
import type { HttpAnswer } from "../../../src/net/http-server.ts";
import { silentLogger } from "../../support/silent-logger.ts";

const statusPort = 15020;

function ask(action: AppProbe["action"], options: { headers?: Record<string, string>; timeoutMs?: number } = {}): Promise<HttpAnswer> {
  const context = { podAddress: undefined, statusPort, logger: silentLogger };
  return answerProbe({ action, timeoutMs: options.timeoutMs ?? 10_000 }, options.headers ?? {}, context);
}

async function listen(t: TestContext, server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

const http = (port: number, path: string): AppProbe["action"] => ({ kind: "http", scheme: "http", port, path });

async function application(t: TestContext, answer: RequestListener): Promise<number> {
  const server = createServer(answer);
  t.after(() => server.closeAllConnections());
  return listen(t, server);
}

suite("HTTP probes", () => {
  test("pass headers on, with the application's port in place of the status port", async (t) => {
    let seen: IncomingMessage | undefined;
    const port = await application(t, (request, response) => {
      seen = request;
      response.writeHead(201).end("fine");
    });
    const answer = await ask(http(port, "/a?b=c"), { headers: { host: `10.0.0.7:${statusPort}`, "x-own": "1", connection: "upgrade" } });
    assert.deepEqual({ status: answer.status, body: answer.body.toString() }, { status: 201, body: "fine" });
    const { host, "x-own": own, connection } = seen!.headers;
    assert.deepEqual([seen!.url, host, own, connection], ["/a?b=c", `10.0.0.7:${port}`, "1", "close"]);
  });

  test("give 10 KiB of a larger body", async (t) => {
    const port = await application(t, (_request, response) => response.end(Buffer.alloc(1024 * 1024)));
    const answer = await ask(http(port, "/"));
    assert.deepEqual([answer.status, answer.body.length], [200, 10 * 1024]);
  });

  test("follow redirects on the same host, at most ten; one to elsewhere is good", async (t) => {
    const port = await application(t, (request, response) => {
      const location = { "/": "/next", "/next": "/end", "/away": "http://example.com/", "/loop": "/loop" }[request.url ?? ""];
      if (location === undefined) response.writeHead(418).end();
      else response.writeHead(302, { location }).end();
    });
    const statuses = await Promise.all(["/", "/away", "/loop"].map(async (path) => (await ask(http(port, path))).status));
    assert.deepEqual(statuses, [418, 200, 500]);
  });

  test("fail by their deadline, also when the answer has begun", async (t) => {
    const port = await application(t, (request, response) => {
      if (request.url === "/begun") response.writeHead(200).write("a");
    });
    for (const path of ["/silent", "/begun"]) {
      const answer = await ask(http(port, path), { timeoutMs: 50 });
      assert.equal(answer.status, 500);
      assert.match(String(answer.body), /no answer within/);
    }
  });
});

suite("TCP probes", () => {
  test("are good when there is somebody, and fail otherwise", async (t) => {
    const server = createTcp((socket) => socket.on("error", () => undefined));
    const port = await listen(t, server);
    assert.equal((await ask({ kind: "tcp", port })).status, 200);
    server.close();
    await once(server, "close");
    assert.equal((await ask({ kind: "tcp", port })).status, 500);
  });
});

// A health service that answers with this status, or only with a gRPC status.
async function healthService(t: TestContext, reply: Buffer, grpcStatus = "0"): Promise<{ port: number; asked: () => string }> {
  let asked = "";
  const server = createHttp2();
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    asked = `${headers[":path"]} `;
    stream.on("data", (chunk: Buffer) => (asked += chunk.toString("hex")));
    stream.on("end", () => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": grpcStatus }));
      stream.end(reply);
    });
  });
  return { port: await listen(t, server), asked: () => asked };
}

suite("gRPC probes", () => {
  for (const [title, reply, grpcStatus, status] of [
    ["SERVING is good", Buffer.from("00000000020801", "hex"), "0", 200],
    ["NOT_SERVING is not", Buffer.from("00000000020802", "hex"), "0", 500],
    ["UNKNOWN, an empty message, is not", Buffer.from("0000000000", "hex"), "0", 500],
    ["a server without the service is not", Buffer.alloc(0), "12", 500],
    ["a reply beyond reason is not", Buffer.alloc(100_000), "0", 500],
  ] as const) {
    test(title, async (t) => {
      const { port, asked } = await healthService(t, reply, grpcStatus);
      assert.equal((await ask({ kind: "grpc", port, service: "db" })).status, status);
      assert.equal(asked(), "/grpc.health.v1.Health/Check 00000000040a026462");
    });
  }

  test("nobody there is not", async () => {
    assert.equal((await ask({ kind: "grpc", port: 1, service: "" })).status, 500);
  });

  test("a server that is silent fails by the deadline", async (t) => {
    const port = await listen(
      t,
      createTcp((socket) => socket.on("error", () => undefined)),
    );
    assert.match(String((await ask({ kind: "grpc", port, service: "" }, { timeoutMs: 50 })).body), /no answer within 50 ms/);
  });
});
