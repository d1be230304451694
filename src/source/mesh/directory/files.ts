// The files of a mesh directory as YAML. A file that the file system says is untouched is not read again, and of one that was
// touched only the documents that differ are parsed again.
import { stat } from "node:fs/promises";
import { TextReader } from "../../text-reader.ts";
import { type ParsedFile, parseYaml } from "../../yaml-document.ts";

// A mesh of thousands of services stays far below; what is above is no configuration.
const maxFileBytes = 64 * 1024 * 1024;

// Time stamps of files are as coarse as a tick of the kernel: a file that was this young when it was read may have been written
// again since without showing it.
const settledMs = 100;

// Whoever writes a file in place has written half of it at some time, which must not take services away. So a file is taken as it
// is when it has not changed for a moment, and in any case after the last of the looks.
const quietMs = 20;
const lookEveryMs = 10;
const looks = 20;

// And before that it was empty, for as long as the writer took to begin: a file that had something to say is believed to be empty
// only after this time.
const emptyMs = 800;

interface KnownFile {
  readonly stamp: string;
  readonly settled: boolean;
  readonly empty: boolean;
  /** When it was first seen emptied; its own time stamp may still be that of what it said before. */
  readonly emptiedMs?: number | undefined;
  readonly parsed: ParsedFile;
}

/** A file that has just been emptied, as whoever rewrites it in place does first: what it said before holds until it is whole. */
export interface UnfinishedFile {
  readonly unfinished: true;
}

/** What reading needs from outside. */
export interface MeshFilesDeps {
  /** Milliseconds since 1970, to tell how long ago a file was written. Default: the system's. */
  readonly wallMs?: () => number;
  /** Default: node:fs. */
  readonly stat?: (path: string) => Promise<FileStamp>;
  readonly readFile?: (path: string) => Promise<string>;
  /** Default: a timer. */
  readonly wait?: (ms: number) => Promise<void>;
}

/** What tells one state of a file from another. */
export interface FileStamp {
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly ino: bigint;
}

/** Files read in one load or several. */
export class MeshFiles {
  readonly #wallMs: () => number;
  readonly #stat: (path: string) => Promise<FileStamp>;
  readonly #readFile: (path: string) => Promise<string>;
  readonly #wait: (ms: number) => Promise<void>;
  #known: ReadonlyMap<string, KnownFile> = new Map();
  #current = new Map<string, KnownFile>();

  constructor(deps: MeshFilesDeps = {}) {
    this.#wallMs = deps.wallMs ?? Date.now;
    this.#stat = deps.stat ?? ((path) => stat(path, { bigint: true }));
    const reader = new TextReader(maxFileBytes);
    this.#readFile = deps.readFile ?? ((path) => reader.read(path));
    this.#wait = deps.wait ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms)));
  }

  /** Begins a load: files that it does not ask for are forgotten when the next one begins. */
  begin(): void {
    this.#known = this.#current.size > 0 ? this.#current : this.#known;
    this.#current = new Map();
  }

  /** The parsed file, or one sentence that says why there is none. */
  async read(path: string): Promise<ParsedFile | { readonly problem: string } | UnfinishedFile> {
    const before = this.#known.get(path);
    try {
      for (let look = 1; ; look++) {
        const found = await this.#stat(path);
        if (found.size > maxFileBytes) return { problem: `is larger than ${maxFileBytes} bytes` };
        const stamp = textOf(found);
        if (before?.settled === true && before.stamp === stamp) {
          this.#current.set(path, before);
          return before.parsed;
        }
        const ageMs = this.#wallMs() - Number(found.mtimeNs / 1_000_000n);
        // Also what was broken before: the file as it was before that still holds.
        if (found.size === 0n && before?.empty === false) {
          const emptiedMs = before.emptiedMs ?? this.#wallMs();
          if (this.#wallMs() - emptiedMs < emptyMs) {
            this.#current.set(path, { ...before, settled: false, emptiedMs });
            return { unfinished: true };
          }
        }
        // A time in the future is another machine's, and says nothing.
        if (look < looks && ageMs >= 0 && ageMs < quietMs) {
          await this.#wait(lookEveryMs);
          continue;
        }
        const text = await this.#readFile(path);
        if (look < looks && textOf(await this.#stat(path)) !== stamp) continue;
        const parsed = parseYaml(text, path, before?.parsed);
        this.#current.set(path, { stamp, settled: ageMs > settledMs, empty: found.size === 0n, parsed });
        return parsed;
      }
    } catch (cause) {
      if (before !== undefined) this.#current.set(path, { ...before, settled: false });
      return { problem: `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}` };
    }
  }
}

const textOf = ({ size, mtimeNs, ctimeNs, ino }: FileStamp): string => [size, mtimeNs, ctimeNs, ino].join(" ");
