// The upstream process: answers HTTP/1.1 requests, echoes, and sends bulk data in plain and inside TLS. Talks to the bench
// over IPC and ends with it.
import net from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import tls from "node:tls";
import type { StartUpstream, UpstreamStarted } from "./messages.ts";
import { bulkBlock, http1Response } from "./payload.ts";

process.on("disconnect", () => process.exit(0));
process.once("message", (message: StartUpstream) => {
  void start(message).then((started) => process.send?.(started));
});

async function start({ certificate }: StartUpstream): Promise<UpstreamStarted> {
  return {
    ports: {
      http1: await listen(net.createServer({ noDelay: true }, answerRequests)),
      "tcp-rtt": await listen(net.createServer({ noDelay: true }, echo)),
      "tcp-bulk": await listen(net.createServer(sendBulk)),
      "sni-bulk": await listen(tls.createServer({ cert: certificate.certificate, key: certificate.key }, sendBulk)),
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

function listen(server: Server): Promise<number> {
  // A TLS handshake that a client gave up must not end the process.
  server.on("tlsClientError", () => undefined);
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", 1024, () => resolve((server.address() as AddressInfo).port));
  });
}
