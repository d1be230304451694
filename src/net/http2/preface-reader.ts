// The preface with which the client of an HTTP/2 connection begins (RFC 9113 section 3.4).
import { clientPreface } from "../../wire/http2/frame.ts";

const noBytes = Buffer.alloc(0);

/** Reads one preface, however many reads it takes. */
export class PrefaceReader {
  #kept: Buffer = noBytes;

  /** Where in `chunk` the frames begin; `incomplete`: the preface goes on in the next chunk. */
  read(chunk: Buffer): number | "incomplete" | "wrong" {
    const had = this.#kept.length;
    const bytes = had === 0 ? chunk : Buffer.concat([this.#kept, chunk]);
    const length = Math.min(bytes.length, clientPreface.length);
    if (bytes.compare(clientPreface, 0, length, 0, length) !== 0) return "wrong";
    if (length === clientPreface.length) return length - had;
    this.#kept = Buffer.from(bytes);
    return "incomplete";
  }
}
