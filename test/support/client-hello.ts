// ClientHellos as Node's own TLS client sends them, and as hand-made bytes for what no client would send.
import { once } from "node:events";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { connect } from "node:tls";
import type { ConnectionOptions } from "node:tls";

/** The first flight of a real TLS client with these options. */
export async function captureClientHello(options: ConnectionOptions): Promise<Buffer> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", rejectUnauthorized: false, ...options });
  client.on("error", () => client.destroy());
  try {
    return await new Promise<Buffer>((resolve) => {
      server.once("connection", (socket) => {
        let bytes = Buffer.alloc(0);
        socket.on("error", () => socket.destroy());
        socket.on("data", (chunk) => {
          bytes = Buffer.concat([bytes, chunk]);
          // A hello of these sizes is one record, however many segments it takes.
          if (bytes.length < 5 || bytes.length < 5 + bytes.readUInt16BE(3)) return;
          socket.destroy();
          resolve(bytes);
        });
      });
    });
  } finally {
    client.destroy();
    server.close();
  }
}

/** A vector: its length in `size` bytes, then the parts. */
export function vector(size: 1 | 2 | 3, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const length = Buffer.alloc(size);
  length.writeUIntBE(body.length, 0, size);
  return Buffer.concat([length, body]);
}

const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 255]);

/** An extension of a hand-made hello. */
export function extension(type: number, ...body: readonly Buffer[]): Buffer {
  return Buffer.concat([u16(type), vector(2, ...body)]);
}

/** A server_name extension. */
export function serverNameExtension(name: string | Buffer): Buffer {
  return extension(0, vector(2, Buffer.from([0]), vector(2, Buffer.from(name))));
}

/** An ALPN extension. */
export function alpnExtension(...protocols: readonly string[]): Buffer {
  return extension(16, vector(2, ...protocols.map((protocol) => vector(1, Buffer.from(protocol)))));
}

/** The handshake message of a ClientHello with these extensions; undefined leaves the extensions out altogether. */
export function helloMessage(extensions: readonly Buffer[] | undefined): Buffer {
  const fixed = Buffer.concat([u16(0x0303), Buffer.alloc(32, 7)]);
  const ciphers = vector(2, u16(0x1301), u16(0x1302));
  const parts = [fixed, vector(1), ciphers, vector(1, Buffer.from([0]))];
  return Buffer.concat([Buffer.from([1]), vector(3, ...parts, ...(extensions ? [vector(2, ...extensions)] : []))]);
}

/** TLS handshake records of at most `size` bytes of payload each. */
export function records(message: Buffer, size = 16_384): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) parts.push(Buffer.from([22, 3, 1]), vector(2, message.subarray(at, at + size)));
  return Buffer.concat(parts);
}
