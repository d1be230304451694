// gRPC-Web's encodings: base64 in both directions of the -text form, and trailers as the body's last frame.
import { encodeGrpcFrame, framePrefixBytes } from "./grpc-frame.ts";
import type { HeaderMap } from "./header-map.ts";

const noBytes = Buffer.alloc(0);

/** Base64 in pieces of any size to bytes. Padding is mandatory, and may come at the end of a piece only. */
export class Base64Reader {
  #rest = noBytes;

  /** The bytes; `size` and `data` say why there are none: the text ends in the middle of a group, or is no base64. */
  push(data: Buffer, end: boolean): Buffer | "size" | "data" {
    const all = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
    const whole = all.length - (all.length % 4);
    if (end && whole < all.length) return "size";
    // Three bytes at most wait here.
    this.#rest = Buffer.from(all.subarray(whole));
    if (whole === 0) return noBytes;
    const text = all.toString("latin1", 0, whole);
    const bytes = Buffer.from(text, "base64");
    // Node reads over what is no base64; only what comes out the same again was all of it.
    return bytes.toString("base64") === text ? bytes : "data";
  }
}

const trailersFlag = 0x80;

/** The frame that trailers become. */
export function encodeTrailersFrame({ names, values }: HeaderMap): Buffer {
  return encodeGrpcFrame(Buffer.from(names.map((name, i) => `${name}:${values[i]!}\r\n`).join(""), "latin1"), trailersFlag);
}

/** gRPC frames in pieces of any size to base64, padded at the end of each frame. Two bytes of a frame wait at most. */
export class FrameTextWriter {
  readonly #prefix = Buffer.alloc(framePrefixBytes);
  #prefixBytes = 0;
  /** Bytes of the frame that are still to come. */
  #left = 0;
  #rest = noBytes;

  /** The text of what can be said of these bytes. */
  push(data: Buffer): Buffer {
    const pieces: string[] = [];
    let at = 0;
    while (at < data.length) {
      if (this.#prefixBytes < framePrefixBytes) {
        const taken = data.copy(this.#prefix, this.#prefixBytes, at);
        at += Math.min(taken, data.length - at);
        this.#prefixBytes += taken;
        if (this.#prefixBytes < framePrefixBytes) break;
        this.#left = this.#prefix.readUInt32BE(1);
        pieces.push(this.#encode(this.#prefix));
      } else {
        const piece = data.subarray(at, at + this.#left);
        at += piece.length;
        this.#left -= piece.length;
        pieces.push(this.#encode(piece));
      }
      if (this.#left === 0) this.#prefixBytes = 0;
    }
    return pieces.length === 0 ? noBytes : Buffer.from(pieces.join(""), "latin1");
  }

  #encode(bytes: Buffer): string {
    const all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const whole = this.#left === 0 ? all.length : all.length - (all.length % 3);
    this.#rest = Buffer.from(all.subarray(whole));
    return all.toString("base64", 0, whole);
  }
}
