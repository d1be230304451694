// Sends exact HTTP/2 frames and tells what came back, frame by frame, without what flow control and pings say.
import net from "node:net";
import { HpackDecoder } from "../../../src/wire/hpack/decoder.ts";
import { HpackEncoder } from "../../../src/wire/hpack/encoder.ts";
import { clientPreface, frameType, writeFrameHeader } from "../../../src/wire/http2/frame.ts";
import type { LiveCase } from "./case.ts";
import type { Seen } from "./exchange.ts";

/** A header field as it goes on the wire. */
export type Field = readonly [name: string, value: string];

/** A frame as bytes. */
export function frame(type: number, flags: number, id: number, payload: Uint8Array = new Uint8Array()): Buffer {
  const bytes = Buffer.alloc(9 + payload.length);
  bytes.set(payload, writeFrameHeader(bytes, 0, payload.length, type, flags, id));
  return bytes;
}

/** HPACK without a dynamic table; names and values as given, valid or not. */
export function block(fields: readonly Field[]): Buffer {
  const encoder = new HpackEncoder(0);
  encoder.begin();
  for (const [name, value] of fields) encoder.field(name, value);
  return Buffer.from(encoder.end());
}

/** Flags of HEADERS and DATA. */
export const flags = { endStream: 1, endHeaders: 4 } as const;

/** HEADERS with a whole block. */
export function headers(id: number, fields: readonly Field[], endStream = true): Buffer {
  return frame(frameType.headers, flags.endHeaders | (endStream ? flags.endStream : 0), id, block(fields));
}

/** DATA. */
export function data(id: number, text: string, endStream = true): Buffer {
  return frame(frameType.data, endStream ? flags.endStream : 0, id, Buffer.from(text, "latin1"));
}

/** A connection that Envoy closes for an error ends delayed_close_timeout later. */
const patienceMs = 900;
/** How long a connection is watched after its last answer. */
const lingerMs = 40;

/** Runs an h2 case; `received` has a line for each thing that came. */
export async function exchangeFrames(port: number, { frames, replies }: LiveCase): Promise<Seen> {
  const socket = net.connect({ host: "127.0.0.1", port, noDelay: true });
  const decoder = new HpackDecoder(4096);
  const streams = new Map<number, string[]>();
  const linesOf = (id: number): string[] => {
    const lines = streams.get(id) ?? [];
    streams.set(id, lines);
    return lines;
  };
  let rest: Buffer = Buffer.alloc(0);
  let over = 0;
  let closed = false;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, patienceMs);
    const finish = (): void => {
      clearTimeout(timer);
      resolve();
    };
    const end = (): void => {
      closed = true;
      finish();
    };
    const streamOver = (): void => {
      over++;
      if (over === replies) setTimeout(finish, lingerMs);
    };
    socket.on("error", end).on("end", end).on("close", end);
    socket.on("data", (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
        const length = rest.readUIntBE(0, 3);
        const [type, bits, id, payload] = [rest[3]!, rest[4]!, rest.readUInt32BE(5), rest.subarray(9, 9 + length)];
        rest = rest.subarray(9 + length);
        if (type === frameType.headers) {
          const fields: string[] = [];
          decoder.decode(payload, 0, payload.length, { onField: ({ name, value }) => fields.push(`${name}: ${value}`) });
          linesOf(id).push(`HEADERS\n${fields.join("\n")}`);
        } else if (type === frameType.data) {
          const lines = linesOf(id);
          // How a body is cut into frames is nobody's business.
          if (lines.at(-1)?.startsWith("DATA ") === true) lines.push(lines.pop()! + payload.toString("latin1"));
          else if (payload.length > 0) lines.push(`DATA ${payload.toString("latin1")}`);
        } else if (type === frameType.rstStream) linesOf(id).push(`RST_STREAM ${payload.readUInt32BE(0)}`);
        else if (type === frameType.goaway) linesOf(0).push(`GOAWAY ${payload.readUInt32BE(4)}`);
        const ends = (type === frameType.headers || type === frameType.data) && (bits & flags.endStream) !== 0;
        if (ends) linesOf(id).push("END_STREAM");
        if (ends || type === frameType.rstStream) streamOver();
      }
    });
    socket.write(Buffer.concat([clientPreface, frame(frameType.settings, 0, 0), ...(frames?.() ?? [])]));
  });
  socket.destroy();
  const ids = [...streams.keys()].sort((left, right) => left - right);
  return {
    received: ids.map((id) => `stream ${id}\n${streams.get(id)!.join("\n")}`).join("\n"),
    ended: closed ? "closed" : "open",
  };
}
