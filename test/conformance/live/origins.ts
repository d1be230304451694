// The servers behind both proxies, raw so that every byte is under control. What an origin answers is in the path; nothing is
// remembered, so that one proxy's requests do not change what the other gets.
import http2 from "node:http2";
import net from "node:net";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";

/** Ports of the servers. */
export interface Origins {
  /** HTTP/1.1, path as below. */
  readonly http: number;
  /** HTTP/2 in clear text. */
  readonly http2: number;
  /** Accepts, reads, never answers. */
  readonly silent: number;
  /** Echoes bytes. */
  readonly echo: number;
  /** Nothing listens here: the port is held by a client socket. */
  readonly refused: number;
  close(): void;
}

interface Received {
  readonly lines: readonly string[];
  readonly body: string;
}

const simple = (status: string, body: string, more = ""): string =>
  `HTTP/1.1 ${status}\r\ncontent-type: text/plain\r\n${more}content-length: ${Buffer.byteLength(body, "latin1")}\r\n\r\n${body}`;

/**
 * What the query says: fields of the response, and beside them `status`, `size` of the body, `coded` with gzip, and `chunked`.
 * Content-Type is text/plain unless it is given.
 */
function asAsked(requestLine: string): string {
  const query = new URLSearchParams(/\?(\S*)/.exec(requestLine)?.[1]);
  const take = (name: string, otherwise: string): string => {
    const value = query.get(name) ?? otherwise;
    query.delete(name);
    return value;
  };
  const [status, size, type] = [take("status", "200"), Number(take("size", "100")), take("content-type", "text/plain")];
  const plain = "abcdefghij".repeat(Math.ceil(size / 10)).slice(0, size);
  const body = take("coded", "") === "" ? plain : gzipSync(plain).toString("latin1");
  const chunked = take("chunked", "") !== "";
  const fields = [...(type === "" ? [] : [["content-type", type]]), ...query].map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const framing = chunked ? "transfer-encoding: chunked" : `content-length: ${body.length}`;
  const sent = requestLine.startsWith("HEAD ") ? "" : chunked ? `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n` : body;
  return `HTTP/1.1 ${status} X\r\n${fields}${framing}\r\n\r\n${sent}`;
}

/** Answers by path; the connection stays unless the second part says otherwise. */
const answers: Readonly<Record<string, (socket: net.Socket, got: Received) => void>> = {
  // at/2,3/503: what the hosts whose address ends so answer; all others 200.
  at: (socket, { lines }) => {
    const [, hosts = "", status = ""] = /at\/([^/ ]*)\/(\w+)/.exec(lines[0]!) ?? [];
    const host = socket.localAddress?.split(".").at(-1) ?? "";
    if (!hosts.split(",").includes(host)) return void socket.write(simple("200 OK", "good"));
    if (status === "close") return void socket.destroy();
    if (status === "hang") return;
    if (status.startsWith("grpc"))
      return void socket.write(simple("200 OK", "", `grpc-status: ${status.slice(4)}\r\n`).replace("text/plain", "application/grpc"));
    socket.write(simple(`${status} X`, `bad ${status}`));
  },
  close: (socket) => void socket.end(),
  reset: (socket) => void socket.resetAndDestroy(),
  garbage: (socket) => void socket.end("not http at all\r\n\r\n"),
  chunked: (socket) => void socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n1;e=1\r\n!\r\n0\r\n\r\n"),
  trailers: (socket) =>
    void socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n5\r\nhello\r\n0\r\nx-t: v\r\n\r\n"),
  "until-close": (socket) => void socket.end("HTTP/1.1 200 OK\r\nx-a: b\r\n\r\nuntil close"),
  "two-lengths": (socket) => void socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc"),
  "length-and-chunks": (socket) =>
    void socket.write("HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
  "te-gzip": (socket) => void socket.end("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nxyz"),
  "bad-name": (socket) => void socket.write("HTTP/1.1 200 OK\r\nx(a): b\r\ncontent-length: 2\r\n\r\nok"),
  "bad-value": (socket) => void socket.write("HTTP/1.1 200 OK\r\nx-a: a\0b\r\ncontent-length: 2\r\n\r\nok"),
  "bad-chunk": (socket) => void socket.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxx\r\nabc\r\n"),
  "bad-status": (socket) => void socket.write("HTTP/1.1 2OO OK\r\ncontent-length: 2\r\n\r\nok"),
  "extra-bytes": (socket) => void socket.write(`${simple("200 OK", "ok")}HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nsmuggle`),
  "no-reason": (socket) => void socket.write("HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok"),
  early: (socket) =>
    void socket.write(`HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n${simple("200 OK", "after")}`),
  switch: (socket) => void socket.write("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
  "no-content": (socket) => void socket.write("HTTP/1.1 204 No Content\r\ncontent-length: 0\r\nx-a: b\r\n\r\n"),
  "not-modified": (socket) => void socket.write('HTTP/1.1 304 Not Modified\r\netag: "x"\r\ncontent-length: 10\r\n\r\n'),
  "reset-content": (socket) => void socket.write("HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n"),
  hop: (socket) =>
    void socket.write(
      simple(
        "200 OK",
        "hop",
        "connection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nproxy-authenticate: a\r\nproxy-connection: b\r\nserver: origin\r\nvia: 1.1 up\r\nupgrade: c\r\n",
      ),
    ),
  internal: (socket) =>
    void socket.write(
      simple(
        "200 OK",
        "x",
        "x-envoy-upstream-service-time: 99\r\nx-envoy-overloaded: true\r\nx-envoy-decorator-operation: d\r\nx-envoy-attempt-count: 7\r\nx-request-id: theirs\r\n",
      ),
    ),
  "set-cookie": (socket) => void socket.write(simple("200 OK", "c", "set-cookie: a=1\r\nset-cookie: b=2\r\nx-m: 1\r\nX-M: 2\r\n")),
  spaces: (socket) => void socket.write(simple("200 OK", "s", "x-s:   a  b \t\r\nx-e:\r\n")),
  fold: (socket) => void socket.write(simple("200 OK", "f", "x-f: a\r\n b\r\n")),
  grpc: (socket) =>
    void socket.write(simple("200 OK", "", "grpc-status: 5\r\ngrpc-message: gone\r\n").replace("text/plain", "application/grpc")),
  websocket: (socket) => {
    socket.removeAllListeners("data");
    socket.write("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: x\r\n\r\nhello");
    socket.on("data", (chunk: Buffer) => socket.write(chunk)).on("end", () => socket.end());
  },
  as: (socket, { lines }) => void socket.write(asAsked(lines[0]!), "latin1"),
  redirect: (socket, { lines }) =>
    void socket.write(simple("302 Found", "", `location: http://lab${/to=([^ ]*)/.exec(lines[0]!)?.[1] ?? "/"}\r\n`)),
};

function respond(socket: net.Socket, got: Received): void {
  const path = /^\S+ (?:https?:\/\/[^/]*)?\/?([^? ]*)/.exec(got.lines[0]!)?.[1] ?? "";
  const [word = "", argument = "", limit = "0"] = path.split("/");
  const answer = answers[word];
  const attempt = Number(/^x-envoy-attempt-count: (\d+)$/m.exec(got.lines.join("\n"))?.[1] ?? 1);
  if (answer !== undefined) return answer(socket, got);
  if (word === "status") return void socket.write(simple(`${argument} X`, `status ${argument}`));
  // Fails until the attempt after `limit`.
  if (word === "flaky" && attempt <= Number(limit)) {
    return argument === "0" ? void socket.destroy() : void socket.write(simple(`${argument} X`, `attempt ${attempt}`));
  }
  if (word === "bytes") return void socket.write(simple("200 OK", "x".repeat(Number(argument))));
  if (word === "big-header") return void socket.write(simple("200 OK", "h", `x-big: ${"v".repeat(Number(argument))}\r\n`));
  if (word === "many-headers")
    return void socket.write(simple("200 OK", "h", Array.from({ length: Number(argument) }, (_, i) => `x-${i}: v\r\n`).join("")));
  const text = `${got.lines.join("\n")}\n\n${got.body.length > 300 ? `${got.body.length} bytes` : got.body}`;
  socket.write(got.lines[0]!.startsWith("HEAD ") ? simple("200 OK", text).split("\r\n\r\n", 1)[0]! + "\r\n\r\n" : simple("200 OK", text));
}

function serveHttp(socket: net.Socket, onRequest: (socket: net.Socket, got: Received) => void): void {
  let buffer = "";
  socket.on("data", (chunk: Buffer) => {
    buffer += chunk.toString("latin1");
    for (;;) {
      const end = buffer.indexOf("\r\n\r\n");
      if (end < 0) return;
      const head = buffer.slice(0, end);
      let rest = buffer.slice(end + 4);
      let body = "";
      const length = /\r\ncontent-length: *(\d+)/i.exec(head);
      if (/\r\nexpect: *100-continue/i.test(head) && rest === "") socket.write("HTTP/1.1 100 Continue\r\n\r\n");
      if (/\r\ntransfer-encoding: *chunked/i.test(head)) {
        const last = /(?:^|\r\n)0\r\n(?:[^\r\n]+\r\n)*\r\n/.exec(rest);
        if (last === null) return;
        body = rest.slice(0, last.index + last[0].length);
      } else if (length !== null) {
        if (rest.length < Number(length[1])) return;
        body = rest.slice(0, Number(length[1]));
      }
      rest = rest.slice(body.length);
      buffer = rest;
      onRequest(socket, { lines: head.split("\r\n"), body });
    }
  });
}

function answerStream(stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders): void {
  stream.on("error", () => undefined);
  const path = headers[":path"] ?? "";
  if (path.includes("rst")) return stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
  if (path.includes("refuse")) return stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
  if (path.includes("framed")) {
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0", "grpc-message": "fine" }));
    return void stream.end("\0\0\0\0\x03abc");
  }
  if (path.includes("trailers-only"))
    return stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "5" }, { endStream: true });
  stream.respond({ ":status": 200, "content-type": headers["content-type"] ?? "text/plain" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0", "x-tr": "v" }));
  stream.end(
    Object.entries(headers)
      .map(([name, value]) => `${name}: ${String(value)}`)
      .join("\n"),
  );
}

/** Starts all of them on free loopback ports. `onRequest` is told of each complete HTTP/1.1 request. */
export async function startOrigins(onRequest: (got: Received) => void = () => undefined): Promise<Origins> {
  const sockets = new Set<net.Socket>();
  const servers: net.Server[] = [];
  const keep = (socket: net.Socket): net.Socket => {
    sockets.add(socket.on("error", () => undefined).on("close", () => sockets.delete(socket)));
    return socket;
  };
  const listen = async (server: net.Server): Promise<number> => {
    servers.push(server);
    server.on("connection", keep);
    await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
    return (server.address() as AddressInfo).port;
  };
  const http = await listen(
    net.createServer((socket) =>
      serveHttp(socket, (to, got) => {
        onRequest(got);
        respond(to, got);
      }),
    ),
  );
  const silent = await listen(net.createServer((socket) => void socket.resume()));
  const echo = await listen(
    net.createServer(
      { allowHalfOpen: true },
      (socket) => void socket.on("data", (chunk: Buffer) => socket.write(chunk)).on("end", () => socket.end("bye")),
    ),
  );
  const streams = http2.createServer();
  streams.on("session", (session) => session.on("error", () => undefined)).on("stream", answerStream);
  const http2Port = await listen(streams as unknown as net.Server);
  // A connected client's own port is taken, and nothing accepts on it.
  const holder = keep(net.connect({ port: echo, host: "127.0.0.1" }));
  await new Promise<void>((resolve) => holder.once("connect", resolve));
  return {
    http,
    http2: http2Port,
    silent,
    echo,
    refused: holder.localPort ?? 0,
    close: () => {
      for (const socket of sockets) socket.destroy();
      for (const server of servers) server.close();
    },
  };
}
