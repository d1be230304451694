// Notices that the files of a module changed, by looking at them: their number is small, and folders that are replaced as a whole
// (Kubernetes' config maps) are seen as well.
import { stat } from "node:fs/promises";
import type { Clock, Timer } from "../../../clock.ts";

/** A change is live within a second. */
const pollMs = 300;

/** Watches until `close`; `onChange` is called after a change, once the files are as they were for one more look. */
export class ModuleWatch {
  readonly #clock: Clock;
  readonly #onChange: () => void;
  readonly #files: Set<string>;
  readonly #known = new Map<string, string>();
  #seen = "";
  #timer: Timer | undefined;
  #closed = false;

  constructor(files: readonly string[], clock: Clock, onChange: () => void) {
    this.#files = new Set(files);
    this.#clock = clock;
    this.#onChange = onChange;
    void this.#look();
  }

  /** Watches these as well; those of before stay, because of what a broken module imports only a part may be known. */
  add(files: readonly string[]): void {
    for (const file of files) this.#files.add(file);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  async #look(): Promise<void> {
    const found = await Promise.all([...this.#files].map(async (file) => [file, await fingerprint(file)] as const));
    if (this.#closed) return;
    this.#compare(found);
    this.#timer = this.#clock.after(pollMs, () => void this.#look());
  }

  #compare(found: readonly (readonly [string, string])[]): void {
    const text = found.join("\n");
    const settled = text === this.#seen;
    this.#seen = text;
    const changed = found.filter(([file, print]) => this.#known.has(file) && this.#known.get(file) !== print);
    // Somebody may be writing still, so a change counts when it is seen twice.
    if (changed.length > 0 && !settled) return;
    for (const [file, print] of found) this.#known.set(file, print);
    if (changed.length > 0) this.#onChange();
  }
}

async function fingerprint(file: string): Promise<string> {
  const stats = await stat(file).catch(() => undefined);
  return stats === undefined ? "-" : `${stats.size} ${stats.mtimeMs} ${stats.ctimeMs} ${stats.ino}`;
}
