// The upstream process: answers HTTP requests, echoes, sends bulk data in plain and inside TLS, and takes it. Talks to the bench
// over IPC and ends with it.
import net from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import tls from "node:tls";
import { Http2AnswerConnection } from "./http2-connection.ts";
import type { StartUpstream, UpstreamStarted } from "./messages.ts";
import { bulkBlock, bulkByteAt, http1Response } from "./payload.ts";

process.on("disconnect", () => process.exit(0));
process.once("message", (message: StartUpstream) => {
  void start(message).then((started) => process.send?.(started));
});

async function start({ certificate }: StartUpstream): Promise<UpstreamStarted> {
  const http1 = await listen(net.createServer({ noDelay: true }, answerRequests));
  const download = await listen(net.createServer(sendBulk));
  return {
    ports: {
      http1,
      "tcp-rtt": await listen(net.createServer({ noDelay: true }, echo)),
      "tcp-bulk": download,
      "sni-bulk": await listen(tls.createServer({ cert: certificate.certificate, key: certificate.key }, sendBulk)),
      "tls-request": http1,
      "tls-handshake": http1,
      "tls-download": download,
      "http-chain": http1,
      http2: await listen(net.createServer({ noDelay: true }, (socket) => void new Http2AnswerConnection(socket, "http2"))),
      grpc: await listen(net.createServer({ noDelay: true }, (socket) => void new Http2AnswerConnection(socket, "grpc"))),
      "tls-upload": await listen(net.createServer(takeBulk)),
    },
  };
}

// A request has no body and may come in pieces, so its end is the empty line.
function answerRequests(socket: Socket): void {
  let tail = "";
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk) => {
    tail = tail.slice(-3) + chunk.toString("latin1", Math.max(0, chunk.length - 4));
    if (tail.endsWith("\r\n\r\n")) {
      tail = "";
      socket.write(http1Response);
    }
  });
}

function echo(socket: Socket): void {
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk) => socket.write(chunk));
}

function sendBulk(socket: Socket): void {
  socket.on("error", () => socket.destroy());
  const fill = (): void => {
    while (!socket.destroyed && socket.write(bulkBlock));
  };
  socket.on("drain", fill);
  fill();
}

// Answers one byte when the first piece was right. A piece that is not ends the connection, which fails the round.
function takeBulk(socket: Socket): void {
  let position = 0;
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk) => {
    if (chunk[0] !== bulkByteAt(position) || chunk.at(-1) !== bulkByteAt(position + chunk.length - 1)) socket.destroy();
    else if (position === 0) socket.write("+");
    position += chunk.length;
  });
}

function listen(server: Server): Promise<number> {
  // A TLS handshake that a client gave up must not end the process.
  server.on("tlsClientError", () => undefined);
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", 1024, () => resolve((server.address() as AddressInfo).port));
  });
}
