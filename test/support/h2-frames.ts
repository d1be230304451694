// HTTP/2 as bytes: a client that sends exactly the frames it is told to, and reads what comes back frame by frame.
import net from "node:net";
import type { Ending } from "./proxy.ts";
import { HpackDecoder } from "../../src/wire/hpack/decoder.ts";
import { HpackEncoder } from "../../src/wire/hpack/encoder.ts";
import { clientPreface, frameType, writeFrameHeader } from "../../src/wire/http2/frame.ts";

/** A frame that came. */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

/** A frame as bytes. */
export function frame(type: number, flags: number, id: number, payload: Uint8Array = new Uint8Array()): Buffer {
  const bytes = Buffer.alloc(9 + payload.length);
  bytes.set(payload, writeFrameHeader(bytes, 0, payload.length, type, flags, id));
  return bytes;
}

/** A block of fields, without any table. */
export function block(fields: readonly (readonly [string, string])[]): Buffer {
  const encoder = new HpackEncoder(0);
  encoder.begin();
  for (const [name, value] of fields) encoder.field(name, value);
  return Buffer.from(encoder.end());
}

/** The pseudo-fields of a GET, and more fields. */
export function getFields(...more: readonly (readonly [string, string])[]): readonly (readonly [string, string])[] {
  return [[":method", "GET"], [":scheme", "http"], [":path", "/"], [":authority", "lab"], ...more];
}

/** A GET as one HEADERS frame that ends its stream. */
export function get(id: number, ...more: readonly (readonly [string, string])[]): Buffer {
  return frame(frameType.headers, 0x5, id, block(getFields(...more)));
}

/** A connection. */
export interface FrameClient {
  readonly socket: net.Socket;
  send(...frames: readonly Buffer[]): void;
  /** Waits for a frame that satisfies `wanted`; undefined when the connection ended before. */
  next(wanted: (frame: Frame) => boolean): Promise<Frame | undefined>;
  /** The fields of a HEADERS frame. Call it for each of them, in order. */
  fields(frame: Frame): Readonly<Record<string, string>>;
  /** Waits until the peer ended the connection. */
  readonly closed: Promise<void>;
}

/** Connects, sends the preface and empty SETTINGS. */
export function connectFrames(t: Ending, port: number): FrameClient {
  const socket = net.connect(port, "127.0.0.1");
  t.after(() => void socket.destroy());
  const got: Frame[] = [];
  let rest: Buffer = Buffer.alloc(0);
  let ended = false;
  let wake: (() => void) | undefined;
  const decoder = new HpackDecoder(4096);
  const notify = (): void => wake?.();
  socket.on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    for (let length = rest.length < 9 ? Infinity : rest.readUIntBE(0, 3); rest.length >= 9 + length;) {
      got.push({ type: rest[3]!, flags: rest[4]!, id: rest.readUInt32BE(5), payload: Buffer.from(rest.subarray(9, 9 + length)) });
      rest = rest.subarray(9 + length);
      length = rest.length < 9 ? Infinity : rest.readUIntBE(0, 3);
    }
    notify();
  });
  socket.on("error", () => undefined);
  const closed = new Promise<void>((resolve) => {
    const end = (): void => {
      ended = true;
      socket.destroy();
      resolve();
      notify();
    };
    socket.on("end", end);
    socket.on("close", end);
  });
  socket.write(Buffer.concat([clientPreface, frame(frameType.settings, 0, 0)]));
  return {
    socket,
    closed,
    send: (...frames) => void socket.write(Buffer.concat(frames)),
    next: async (wanted) => {
      for (;;) {
        const at = got.findIndex(wanted);
        if (at >= 0) return got.splice(0, at + 1).at(-1);
        if (ended) return undefined;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
    fields: ({ payload }) => {
      const found: Record<string, string> = {};
      decoder.decode(payload, 0, payload.length, { onField: ({ name, value }) => (found[name] = value) });
      return found;
    },
  };
}

/** The error code of the GOAWAY with which the proxy ends the connection; undefined when it ends without. */
export async function goawayCode(client: FrameClient): Promise<number | undefined> {
  const goaway = await client.next(({ type }) => type === frameType.goaway);
  return goaway?.payload.readUInt32BE(4);
}
