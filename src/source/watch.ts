// Notices that files changed: the file system's events where there are any, and a comparison of time stamps every now and then for
// where there are none (network file systems, some containers). Reports once for a burst of changes.
import { watch as watchFs } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Clock, Timer } from "../clock.ts";

/** How watching behaves. */
export interface WatchOptions {
  readonly clock: Clock;
  /** Quiet time after the last change before it is reported; default 100 ms, enough for an editor or a git checkout of a few files. */
  readonly debounceMs?: number;
  /** Time between comparisons; default 500 ms, so that a change is live within a second even without events. */
  readonly pollMs?: number;
  /** Subscribes to the events of a folder; default node:fs. Failures mean that polling does the work alone. */
  readonly subscribe?: (folder: string, onEvent: () => void) => { close(): void } | undefined;
  /** A text that changes when the files do; default: sizes, times and inodes, folders with all below them. */
  readonly fingerprint?: (paths: readonly string[]) => Promise<string>;
}

/** A running watch. */
export interface FileWatch {
  /** Watches these from now on; unchanged files are not reported. */
  replace(paths: readonly string[]): void;
  close(): void;
}

/** Watches files and folders, and calls `onChange` after each burst of changes. The state at the start is taken as known. */
export function watchFiles(paths: readonly string[], onChange: () => void, options: WatchOptions): FileWatch {
  return new Watch(paths, onChange, options);
}

class Watch implements FileWatch {
  readonly #onChange: () => void;
  readonly #clock: Clock;
  readonly #debounceMs: number;
  readonly #pollMs: number;
  readonly #subscribe: NonNullable<WatchOptions["subscribe"]>;
  readonly #fingerprint: NonNullable<WatchOptions["fingerprint"]>;
  #paths: readonly string[];
  #subscriptions: readonly { close(): void }[] = [];
  #known: string | undefined;
  #pollTimer: Timer | undefined;
  #quietTimer: Timer | undefined;
  #comparing = false;
  #again = false;
  #closed = false;

  constructor(paths: readonly string[], onChange: () => void, options: WatchOptions) {
    this.#paths = paths;
    this.#onChange = onChange;
    this.#clock = options.clock;
    this.#debounceMs = options.debounceMs ?? 100;
    this.#pollMs = options.pollMs ?? 500;
    this.#subscribe = options.subscribe ?? subscribeFs;
    this.#fingerprint = options.fingerprint ?? fingerprintFs;
    this.#start();
  }

  replace(paths: readonly string[]): void {
    if (this.#closed || (paths.length === this.#paths.length && paths.every((path, index) => path === this.#paths[index]))) return;
    this.#stop();
    this.#paths = paths;
    this.#known = undefined;
    this.#start();
  }

  close(): void {
    this.#closed = true;
    this.#stop();
  }

  #start(): void {
    // Folders, not files: a file that is replaced by a rename takes its watch with it.
    const folders = new Set(this.#paths.flatMap((path) => [path, dirname(path)]));
    this.#subscriptions = [...folders]
      .map((folder) => this.#subscribe(folder, () => this.#compare()))
      .filter((entry) => entry !== undefined);
    this.#compare();
    this.#schedulePoll();
  }

  #stop(): void {
    this.#pollTimer?.cancel();
    this.#quietTimer?.cancel();
    this.#quietTimer = undefined;
    for (const subscription of this.#subscriptions) subscription.close();
    this.#subscriptions = [];
  }

  #schedulePoll(): void {
    this.#pollTimer = this.#clock.after(this.#pollMs, () => {
      this.#compare();
      this.#schedulePoll();
    });
  }

  #compare(): void {
    if (this.#comparing) {
      this.#again = true;
      return;
    }
    this.#comparing = true;
    const paths = this.#paths;
    this.#fingerprint(paths).then(
      (text) => this.#compared(paths, text),
      // A file that vanishes while it is looked at: the next comparison sees it settled.
      () => this.#compared(paths, this.#known),
    );
  }

  #compared(paths: readonly string[], text: string | undefined): void {
    this.#comparing = false;
    if (this.#closed) return;
    if (paths === this.#paths) {
      const changed = this.#known !== undefined && text !== this.#known;
      this.#known = text;
      if (changed) this.#waitForQuiet();
    }
    if (!this.#again && paths === this.#paths) return;
    this.#again = false;
    this.#compare();
  }

  #waitForQuiet(): void {
    this.#quietTimer?.cancel();
    this.#quietTimer = this.#clock.after(this.#debounceMs, () => {
      this.#quietTimer = undefined;
      this.#onChange();
    });
  }
}

function subscribeFs(folder: string, onEvent: () => void): { close(): void } | undefined {
  try {
    const watcher = watchFs(folder, { persistent: false }, onEvent);
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch {
    // Not there, not a folder, or out of inotify watches: polling covers it.
    return undefined;
  }
}

// Folders bigger than this are not configuration.
const maxEntries = 10_000;

async function fingerprintFs(paths: readonly string[]): Promise<string> {
  const parts: string[] = [];
  const visit = async (path: string): Promise<void> => {
    const stats = await stat(path).catch(() => undefined);
    if (stats === undefined) parts.push(`${path} -`);
    else if (!stats.isDirectory()) parts.push(`${path} ${stats.size} ${stats.mtimeMs} ${stats.ctimeMs} ${stats.ino}`);
    else if (parts.length < maxEntries) {
      const names = await readdir(path).catch(() => []);
      for (const name of names.toSorted((a, b) => (a < b ? -1 : 1))) await visit(join(path, name));
    }
  };
  for (const path of paths) await visit(path);
  return parts.join("\n");
}
