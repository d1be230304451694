// Raw TCP on both ends of a proxy under test: a client that sends exact bytes and an origin that answers exact bytes.
import net from "node:net";
import type { AddressInfo } from "node:net";

/** A server on a free loopback port. */
export interface TestServer {
  readonly port: number;
  /** Connections accepted so far. */
  readonly accepted: number;
  close(): Promise<void>;
}

/** Listens on a free loopback port and hands each connection to `onConnection`. */
export async function listenRaw(onConnection: (socket: net.Socket) => void, options: net.ServerOpts = {}): Promise<TestServer> {
  const sockets = new Set<net.Socket>();
  let accepted = 0;
  const server = net.createServer(options, (socket) => {
    accepted++;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    get accepted() {
      return accepted;
    },
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

/** One request as an origin got it. */
export interface OriginRequest {
  readonly line: string;
  readonly fields: readonly string[];
  readonly body: string;
  readonly socket: net.Socket;
}

/** An HTTP/1.1 origin that answers each complete request with what `respond` writes. */
export function listenHttp(respond: (request: OriginRequest) => void): Promise<TestServer> {
  return listenRaw((socket) => {
    let buffer = "";
    socket.on("data", (chunk: Buffer) => {
      buffer += chunk.toString("latin1");
      for (let request = takeRequest(buffer); request !== undefined; request = takeRequest(buffer)) {
        buffer = buffer.slice(request.length);
        respond({ line: request.line, fields: request.fields, body: request.body, socket });
      }
    });
  });
}

function takeRequest(text: string): { line: string; fields: string[]; body: string; length: number } | undefined {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const [line, ...fields] = text.slice(0, end).split("\r\n");
  const length = /^content-length: *(\d+)$/im.exec(text.slice(0, end));
  let bodyEnd = end + 4;
  if (length !== null) bodyEnd += Number(length[1]);
  else if (/^transfer-encoding: *chunked$/im.test(text.slice(0, end))) {
    const last = /(?:^|\r\n)0\r\n(?:[^\r\n]+\r\n)*\r\n/.exec(text.slice(bodyEnd));
    if (last === null) return undefined;
    bodyEnd += last.index + last[0].length;
  }
  if (text.length < bodyEnd) return undefined;
  return { line: line!, fields, body: text.slice(end + 4, bodyEnd), length: bodyEnd };
}

/** Writes a response with a Content-Length. */
export function reply(socket: net.Socket, body: string, status = "200 OK", extra = ""): void {
  socket.write(`HTTP/1.1 ${status}\r\n${extra}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

/** A client connection that collects what comes back. */
export interface RawClient {
  readonly socket: net.Socket;
  /** Everything received so far, latin1. */
  readonly received: string;
  /** Resolves once `received` satisfies `test`; rejects when the connection ends before. */
  until(test: (received: string) => boolean): Promise<string>;
  /** Resolves with how the connection ended. */
  readonly ended: Promise<"fin" | "reset">;
}

/** Connects to a loopback port. */
export async function connectRaw(port: number): Promise<RawClient> {
  const socket = net.connect({ host: "127.0.0.1", port });
  let received = "";
  let finish: (how: "fin" | "reset") => void = () => undefined;
  const ended = new Promise<"fin" | "reset">((resolve) => (finish = resolve));
  let waiting: { test: (text: string) => boolean; resolve: (text: string) => void; reject: (error: Error) => void } | undefined;
  const check = (): void => {
    if (waiting === undefined || !waiting.test(received)) return;
    const { resolve } = waiting;
    waiting = undefined;
    resolve(received);
  };
  socket.on("data", (chunk: Buffer) => {
    received += chunk.toString("latin1");
    check();
  });
  socket.on("error", () => finish("reset"));
  socket.on("end", () => finish("fin"));
  socket.on("close", () => {
    finish("reset");
    waiting?.reject(new Error(`connection ended after ${JSON.stringify(received.slice(0, 500))}`));
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", reject);
  });
  return {
    socket,
    get received() {
      return received;
    },
    until: (test) =>
      new Promise((resolve, reject) => {
        waiting = { test, resolve, reject };
        check();
        if (waiting !== undefined && socket.destroyed)
          reject(new Error(`connection ended after ${JSON.stringify(received.slice(0, 500))}`));
      }),
    ended,
  };
}

/** True when `text` holds `count` complete responses framed by Content-Length, by chunks, or without a body. */
export function hasResponses(count: number): (text: string) => boolean {
  return (text) => {
    let rest = text;
    for (let n = 0; n < count; n++) {
      const end = rest.indexOf("\r\n\r\n");
      if (end < 0) return false;
      const head = rest.slice(0, end).toLowerCase();
      rest = rest.slice(end + 4);
      const length = /\r\ncontent-length: *(\d+)/.exec(head);
      if (length !== null) {
        if (rest.length < Number(length[1])) return false;
        rest = rest.slice(Number(length[1]));
      } else if (head.includes("transfer-encoding: chunked")) {
        const last = rest.indexOf("0\r\n\r\n");
        if (last < 0) return false;
        rest = rest.slice(last + 5);
      }
    }
    return true;
  };
}
