// The bytes of HTTP/2 on the wire, prebuilt once as those of HTTP/1.1 are: header blocks as an encoder with a dynamic table
// writes them, plain and with all of their fields known to the other side.
import { Buffer } from "node:buffer";
import { HpackEncoder } from "../../../src/wire/hpack/encoder.ts";
import {
  clientPreface,
  frameFlag,
  frameHeaderBytes,
  frameType,
  initialWindowBytes,
  largestWindow,
  settingId,
  writeFrameHeader,
  writeUint32,
} from "../../../src/wire/http2/frame.ts";
import type { Http2Traffic } from "../benchmark.ts";
import { http1Body, serverName } from "./payload.ts";

type Fields = readonly (readonly [string, string])[];

/** A message of gRPC: no compression, length, bytes. The last byte of an answer is that of `http1Body`. */
const grpcMessage = Buffer.concat([Buffer.from([0, 0, 0, 0, http1Body.length]), Buffer.from(http1Body)]);

/** What a client sends for a request, and what the upstream answers. */
interface Exchange {
  readonly request: Fields;
  readonly requestBody: Buffer | undefined;
  readonly response: Fields;
  readonly responseBody: Buffer;
  readonly trailers: Fields | undefined;
}

/** The exchange of each kind of traffic. */
export const exchanges: Readonly<Record<Http2Traffic, Exchange>> = {
  http2: {
    request: [
      [":method", "GET"],
      [":scheme", "http"],
      [":path", "/bench"],
      [":authority", serverName],
      ["user-agent", "bench"],
      ["accept", "*/*"],
    ],
    requestBody: undefined,
    response: [
      [":status", "200"],
      ["content-type", "text/plain"],
      ["content-length", String(http1Body.length)],
    ],
    responseBody: Buffer.from(http1Body),
    trailers: undefined,
  },
  grpc: {
    request: [
      [":method", "POST"],
      [":scheme", "http"],
      [":path", "/bench.Echo/Unary"],
      [":authority", serverName],
      ["content-type", "application/grpc"],
      ["te", "trailers"],
      ["user-agent", "grpc-bench/1.0"],
      ["grpc-accept-encoding", "identity,deflate,gzip"],
    ],
    requestBody: grpcMessage,
    response: [
      [":status", "200"],
      ["content-type", "application/grpc"],
      ["grpc-accept-encoding", "identity,deflate,gzip"],
    ],
    responseBody: grpcMessage,
    trailers: [
      ["grpc-status", "0"],
      ["grpc-message", ""],
    ],
  },
};

/** Settings that leave the other side all windows it can have, and the client's preface. */
export function opening(role: "client" | "server"): Buffer {
  const settings = Buffer.alloc(6);
  writeUint32(settings, settings.writeUInt16BE(settingId.initialWindowSize, 0), largestWindow);
  const parts = [frame(frameType.settings, 0, 0, settings), windowUpdate(largestWindow - initialWindowBytes)];
  return Buffer.concat(role === "client" ? [clientPreface, ...parts] : parts);
}

/** WINDOW_UPDATE of the connection. */
export function windowUpdate(bytes: number): Buffer {
  const payload = Buffer.alloc(4);
  writeUint32(payload, 0, bytes);
  return frame(frameType.windowUpdate, 0, 0, payload);
}

/** A frame. */
export function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const out = Buffer.alloc(frameHeaderBytes + payload.length);
  out.set(payload, writeFrameHeader(out, 0, payload.length, type, flags, stream));
  return out;
}

/** Writes one message after the other as a connection's encoder would; the streams' numbers are filled in. */
export class MessageWriter {
  readonly #messages: readonly Buffer[];
  readonly #starts: readonly (readonly number[])[];
  #written = 0;

  /** The messages are those of `fields` and a body, and perhaps trailers, alike each time but for the table's state. */
  constructor(fields: Fields, body: Buffer | undefined, trailers: Fields | undefined) {
    const encoder = new HpackEncoder(4096);
    const messages: Buffer[] = [];
    const starts: number[][] = [];
    // After three rounds every field that will ever be indexed is.
    for (let round = 0; round < 4; round++) {
      const endStream = frameFlag.endStream;
      const frames = [frame(frameType.headers, frameFlag.endHeaders | (body === undefined ? endStream : 0), 0, encode(encoder, fields))];
      if (body !== undefined) frames.push(frame(frameType.data, trailers === undefined ? endStream : 0, 0, body));
      if (trailers !== undefined) frames.push(frame(frameType.headers, frameFlag.endHeaders | endStream, 0, encode(encoder, trailers)));
      starts.push(frames.map((_, i) => frames.slice(0, i).reduce((sum, { length }) => sum + length, 0)));
      messages.push(Buffer.concat(frames));
    }
    this.#messages = messages;
    this.#starts = starts;
  }

  /** The bytes of the next message, on a stream; valid until the message after it. */
  next(stream: number): Buffer {
    const round = Math.min(this.#written++, this.#messages.length - 1);
    const message = this.#messages[round]!;
    for (const start of this.#starts[round]!) writeUint32(message, start + 5, stream);
    return message;
  }
}

function encode(encoder: HpackEncoder, fields: Fields): Buffer {
  encoder.begin();
  for (const [name, value] of fields) encoder.field(name, value);
  return Buffer.from(encoder.end());
}
