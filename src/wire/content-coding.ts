// Content codings (gzip, br, zstd) of a body that comes piece by piece: bytes in, bytes out at once, nothing kept but the coding's window.
// Node's streams answer later and from another thread; the same engines answer at once through the handle that they wrap, as
// zlib's own synchronous functions use it.
import {
  constants,
  createBrotliCompress,
  createBrotliDecompress,
  createGunzip,
  createGzip,
  createZstdCompress,
  createZstdDecompress,
} from "node:zlib";

/** A content coding's token. */
export type ContentCoding = "gzip" | "br" | "zstd";

/** How to compress; `parameters` are those of node:zlib. */
export type CompressorSettings =
  | {
      readonly coding: "gzip";
      readonly level: number;
      readonly memoryLevel: number;
      readonly windowBits: number;
      readonly strategy: number;
    }
  | { readonly coding: "br" | "zstd"; readonly parameters: Readonly<Record<number, number>> };

/** How to decompress. */
export interface DecompressorSettings {
  readonly coding: ContentCoding;
  /** gzip's window; undefined = the largest. */
  readonly windowBits?: number;
  /** How much longer than a piece what it stands for may be. */
  readonly maxRatio: number;
}

interface EngineHandle {
  writeSync(flush: number, input: Buffer, from: number, length: number, output: Buffer, at: number, room: number): void;
  onerror: (message: string, errno: number, code: string) => void;
}

interface Engine {
  readonly _handle: EngineHandle | null;
  /** Room left in the output and input left, after a write. */
  readonly _writeState: Uint32Array;
  close(): void;
}

const engineOf = (stream: unknown): Engine => stream as Engine;

// The streams' own buffers are never used: the smallest there is.
const chunkSize = 64;
// Output is copied from here; one for the thread, for a call ends before another begins.
const largeOutput = Buffer.allocUnsafeSlow(32 * 1024);
// What is decompressed is measured after each of these, as Envoy does.
const smallOutput = largeOutput.subarray(0, 4096);
const noBytes = Buffer.alloc(0);

/** Compresses one body. */
export class Compressor {
  readonly #engine: Engine;
  readonly #flush: number;
  readonly #finish: number;

  constructor(settings: CompressorSettings) {
    [this.#flush, this.#finish] = flushes[settings.coding];
    this.#engine = engineOf(createCompressor(settings));
  }

  /** What stands for `data` and everything before; with `end`, the rest too. Nothing is held back. */
  push(data: Buffer, end: boolean): Buffer {
    if (data.length === 0 && !end) return noBytes;
    return run(this.#engine, data, end ? this.#finish : this.#flush, largeOutput, Infinity).bytes;
  }

  /** Frees the engine; idempotent. */
  close(): void {
    this.#engine.close();
  }
}

// How to end a piece and how to end the body.
const flushes: Readonly<Record<ContentCoding, readonly [flush: number, finish: number]>> = {
  gzip: [constants.Z_SYNC_FLUSH, constants.Z_FINISH],
  br: [constants.BROTLI_OPERATION_FLUSH, constants.BROTLI_OPERATION_FINISH],
  zstd: [constants.ZSTD_e_flush, constants.ZSTD_e_end],
};

function createCompressor(settings: CompressorSettings): unknown {
  if (settings.coding === "gzip") {
    const { level, memoryLevel: memLevel, windowBits, strategy } = settings;
    return createGzip({ chunkSize, level, memLevel, windowBits, strategy });
  }
  const { coding, parameters: params } = settings;
  return coding === "br" ? createBrotliCompress({ chunkSize, params }) : createZstdCompress({ chunkSize, params });
}

/** Why a body could not be decompressed: it is not of the coding, or it grows too much. */
export type DecompressionFault = "corrupt" | "bomb";

/** Decompresses one body. */
export class Decompressor {
  readonly #engine: Engine;
  readonly #maxRatio: number;
  readonly #flush: number;
  #fault: DecompressionFault | undefined;

  constructor({ coding, windowBits, maxRatio }: DecompressorSettings) {
    this.#maxRatio = maxRatio;
    // Not the end, which would make a body that goes on a fault.
    [this.#flush] = flushes[coding];
    this.#engine = engineOf(
      coding === "gzip"
        ? createGunzip({ chunkSize, ...(windowBits === undefined ? {} : { windowBits }) })
        : coding === "br"
          ? createBrotliDecompress({ chunkSize })
          : createZstdDecompress({ chunkSize }),
    );
  }

  /** Set once the body turned out to be no good; nothing more comes of it. */
  get fault(): DecompressionFault | undefined {
    return this.#fault;
  }

  /** What `data` stands for, as far as it is good and within its bound. */
  push(data: Buffer): Buffer {
    if (this.#fault !== undefined || data.length === 0) return noBytes;
    const { bytes, fault } = run(this.#engine, data, this.#flush, smallOutput, data.length * this.#maxRatio);
    this.#fault = fault;
    return bytes;
  }

  /** Frees the engine; idempotent. */
  close(): void {
    this.#engine.close();
  }
}

function run(
  engine: Engine,
  data: Buffer,
  flush: number,
  output: Buffer,
  maxBytes: number,
): { readonly bytes: Buffer; readonly fault: DecompressionFault | undefined } {
  const handle = engine._handle;
  if (handle === null) return { bytes: noBytes, fault: "corrupt" };
  let fault: DecompressionFault | undefined;
  handle.onerror = () => (fault = "corrupt");
  const pieces: Buffer[] = [];
  let total = 0;
  let from = 0;
  let left = data.length;
  for (;;) {
    handle.writeSync(flush, data, from, left, output, 0, output.length);
    if (fault !== undefined) break;
    const [room = 0, unread = 0] = engine._writeState;
    const size = output.length - room;
    total += size;
    if (size > 0) pieces.push(Buffer.from(output.subarray(0, size)));
    if (total > maxBytes) {
      fault = "bomb";
      break;
    }
    from += left - unread;
    left = unread;
    // Room that is left means that there was no more to give.
    if (room > 0) break;
  }
  return { bytes: pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces), fault };
}
