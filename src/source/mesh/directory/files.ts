// The files of a mesh directory as YAML. A file that the file system says is untouched is not read again, and of one that was
// touched only the documents that differ are parsed again.
import { readFile, stat } from "node:fs/promises";
import { type ParsedFile, parseYaml } from "../../yaml-document.ts";

// A mesh of thousands of services stays far below; what is above is no configuration.
const maxFileBytes = 64 * 1024 * 1024;

// Time stamps of files are as coarse as a tick of the kernel: a file that was this young when it was read may have been written
// again since without showing it.
const settledMs = 100;

interface KnownFile {
  readonly stamp: string;
  readonly settled: boolean;
  readonly parsed: ParsedFile;
}

/** What reading needs from outside. */
export interface MeshFilesDeps {
  /** Milliseconds since 1970, to tell how long ago a file was written. Default: the system's. */
  readonly wallMs?: () => number;
  /** Default: node:fs. */
  readonly stat?: (path: string) => Promise<FileStamp>;
  readonly readFile?: (path: string) => Promise<string>;
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
  #known: ReadonlyMap<string, KnownFile> = new Map();
  #current = new Map<string, KnownFile>();

  constructor(deps: MeshFilesDeps = {}) {
    this.#wallMs = deps.wallMs ?? Date.now;
    this.#stat = deps.stat ?? ((path) => stat(path, { bigint: true }));
    this.#readFile = deps.readFile ?? ((path) => readFile(path, "utf8"));
  }

  /** Begins a load: files that it does not ask for are forgotten when the next one begins. */
  begin(): void {
    this.#known = this.#current.size > 0 ? this.#current : this.#known;
    this.#current = new Map();
  }

  /** The parsed file, or one sentence that says why there is none. */
  async read(path: string): Promise<ParsedFile | { readonly problem: string }> {
    const before = this.#known.get(path);
    try {
      const { size, mtimeNs, ctimeNs, ino } = await this.#stat(path);
      if (size > maxFileBytes) return { problem: `is larger than ${maxFileBytes} bytes` };
      const stamp = [size, mtimeNs, ctimeNs, ino].join(" ");
      if (before?.settled === true && before.stamp === stamp) {
        this.#current.set(path, before);
        return before.parsed;
      }
      const settled = this.#wallMs() - Number(mtimeNs / 1_000_000n) > settledMs;
      const parsed = parseYaml(await this.#readFile(path), path, before?.parsed);
      this.#current.set(path, { stamp, settled, parsed });
      return parsed;
    } catch (cause) {
      if (before !== undefined) this.#current.set(path, { ...before, settled: false });
      return { problem: `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}` };
    }
  }
}
