// Bodies whose bytes two proxies may write in different pieces: compressed ones and those of gRPC-Web. They are compared by what they say.
import { brotliDecompressSync, constants, gunzipSync } from "node:zlib";

const decoders: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  gzip: (bytes) => gunzipSync(bytes, { finishFlush: constants.Z_SYNC_FLUSH }),
  br: brotliDecompressSync,
};

/** True of a response whose body was coded on the way: two libraries need not make the same number of bytes of it. */
export function isCoded(text: string): boolean {
  const head = text.slice(0, text.indexOf("\r\n\r\n"));
  return /\r\ncontent-encoding:/i.test(head) && /\r\ntransfer-encoding:/i.test(head);
}

/** One HTTP/1 response (latin1) with such a body in one piece and plain; anything else as it is. */
export function wholeBodies(text: string): string {
  const end = text.indexOf("\r\n\r\n");
  const head = text.slice(0, end);
  const coding = /\r\ncontent-encoding: *(\w+)/i.exec(head)?.[1];
  const chunked = /\r\ntransfer-encoding: *chunked/i.test(head);
  if (end < 0 || (coding === undefined && !/\r\ncontent-type: *application\/grpc-web/i.test(head))) return text;
  const body = text.slice(end + 4);
  const bytes = Buffer.from(chunked ? withoutChunks(body) : body, "latin1");
  const decode = decoders[coding ?? ""];
  if (decode === undefined || bytes.length === 0) return `${head}\r\n\r\n${bytes.toString("latin1")}`;
  try {
    return `${head}\r\n\r\n${coding} of ${decode(bytes).toString("latin1")}`;
  } catch (error) {
    return `${head}\r\n\r\nnot ${coding}: ${String(error)} ${bytes.toString("latin1")}`;
  }
}

function withoutChunks(body: string): string {
  let whole = "";
  for (let at = 0; ;) {
    const lineEnd = body.indexOf("\r\n", at);
    const size = lineEnd < 0 ? Number.NaN : Number.parseInt(body.slice(at, lineEnd), 16);
    if (Number.isNaN(size)) return `${whole}<broken off>`;
    if (size === 0) return whole;
    whole += body.slice(lineEnd + 2, lineEnd + 2 + size);
    at = lineEnd + 4 + size;
  }
}
