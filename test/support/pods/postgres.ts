// As much of PostgreSQL's protocol as a client needs for one query: no TLS, nobody is asked who he is, and the answer to every query is
// one row that says whom the server sees. https://www.postgresql.org/docs/current/protocol-message-formats.html
import { createServer, type Server, type Socket } from "node:net";

const sslRequest = 80_877_103;
const gssRequest = 80_877_104;

function message(type: string, ...parts: readonly (Buffer | string)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(`${part}\0`) : part)));
  const length = Buffer.alloc(4);
  length.writeInt32BE(body.length + 4);
  return Buffer.concat([Buffer.from(type), length, body]);
}

const int16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff]);
const int32 = (value: number): Buffer => Buffer.concat([int16((value >>> 16) & 0xffff), int16(value & 0xffff)]);
const ready = message("Z", Buffer.from("I"));

function oneRow(text: string): Buffer {
  // Table, column, type text, any length, no modifier, as text.
  const column = [int32(0), int16(0), int32(25), Buffer.from([0xff, 0xff]), int32(-1), int16(0)];
  const row = Buffer.from(text);
  return Buffer.concat([
    message("T", int16(1), "seen", ...column),
    message("D", int16(1), int32(row.length), row),
    message("C", "SELECT 1"),
    ready,
  ]);
}

function serve(socket: Socket, answer: string): void {
  let bytes: Buffer = Buffer.alloc(0);
  let started = false;
  socket.on("error", () => socket.destroy());
  socket.on("data", (part: Buffer) => {
    bytes = Buffer.concat([bytes, part]);
    // The first messages have no type.
    for (let at = started ? 1 : 0; bytes.length >= at + 4 && bytes.length >= at + bytes.readInt32BE(at); at = started ? 1 : 0) {
      const code = started ? 0 : bytes.readInt32BE(4);
      const type = String.fromCharCode(bytes[0] ?? 0);
      bytes = bytes.subarray(at + bytes.readInt32BE(at));
      if (code === sslRequest || code === gssRequest) socket.write("N");
      else if (!started) {
        started = true;
        socket.write(Buffer.concat([message("R", int32(0)), message("S", "server_version", "17.0"), ready]));
      } else if (type === "Q") socket.write(oneRow(answer));
      else if (type === "X") socket.end();
    }
  });
}

/** The server; `answer` is the row for a client. */
export function postgres(answer: (socket: Socket) => string): Server {
  return createServer((socket) => serve(socket, answer(socket)));
}
