// Notices that files changed: the file system's events where there are any, and a comparison of time stamps every now and then for
// where there are none (network file systems, some containers). Reports once for a burst of changes.
import { watch as watchFs } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import type { Clock, Timer } from "../clock.ts";

/** How watching behaves. */
export interface WatchOptions {
  readonly clock: Clock;
  /** Quiet time after the last change before it is reported; default 100 ms, enough for an editor or a git checkout of a few files. */
  readonly debounceMs?: number;
  /** Longest time that further changes put a report off; default 300 ms, so that files written all the time are reported all the same. */
  readonly maxQuietMs?: number;
  /** Time between comparisons; default 500 ms, so that a change is live within a second even without events. */
  readonly pollMs?: number;
  /**
   * Subscribes to the events of a folder; default node:fs. `written` is the name of a file whose content changed, where nothing else
   * did. Failures mean that polling does the work alone.
   */
  readonly subscribe?: (folder: string, onEvent: (written?: string) => void) => { close(): void } | undefined;
  /** Default: sizes, times and inodes, folders with all below them. */
  readonly fingerprint?: (paths: readonly string[]) => Promise<Fingerprint>;
}

/** How files are at one moment. */
export interface Fingerprint {
  /** Changes when the files do. */
  readonly text: string;
  /** Every folder that was found: a new file in it is an event of that folder alone. */
  readonly folders: readonly string[];
}

/** A running watch. */
export interface FileWatch {
  /** Resolves once the state at the start is known: files read after that are never older than what is reported. */
  readonly ready: Promise<void>;
  /** Watches these from now on; unchanged files are not reported. */
  replace(paths: readonly string[]): void;
  close(): void;
}

/** Watches files and folders, and calls `onChange` after each burst of changes. The state at the start is taken as known. */
export function watchFiles(paths: readonly string[], onChange: () => void, options: WatchOptions): FileWatch {
  return new Watch(paths, onChange, options);
}

class Watch implements FileWatch {
  readonly ready: Promise<void>;
  readonly #onChange: () => void;
  readonly #clock: Clock;
  readonly #debounceMs: number;
  readonly #maxQuietMs: number;
  readonly #pollMs: number;
  readonly #subscribe: NonNullable<WatchOptions["subscribe"]>;
  readonly #fingerprint: NonNullable<WatchOptions["fingerprint"]>;
  #paths: readonly string[];
  readonly #subscriptions = new Map<string, { close(): void } | undefined>();
  /** Folders of which every file counts, and the watched files themselves. */
  #entire: ReadonlySet<string> = new Set();
  #files: ReadonlySet<string> = new Set();
  #onReady: () => void = () => undefined;
  #known: string | undefined;
  #changedMs: number | undefined;
  #pollTimer: Timer | undefined;
  #quietTimer: Timer | undefined;
  #comparing = false;
  /** How long the last comparison took. */
  #comparedMs = 0;
  #again = false;
  #closed = false;

  constructor(paths: readonly string[], onChange: () => void, options: WatchOptions) {
    this.ready = new Promise((resolve) => (this.#onReady = resolve));
    this.#paths = paths;
    this.#onChange = onChange;
    this.#clock = options.clock;
    this.#debounceMs = options.debounceMs ?? 100;
    this.#maxQuietMs = options.maxQuietMs ?? 300;
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
    this.#onReady();
  }

  #start(): void {
    this.#listen([]);
    this.#compare();
    this.#schedulePoll();
  }

  #stop(): void {
    this.#pollTimer?.cancel();
    this.#quietTimer?.cancel();
    this.#quietTimer = undefined;
    this.#changedMs = undefined;
    for (const subscription of this.#subscriptions.values()) subscription?.close();
    this.#subscriptions.clear();
  }

  /** Listens to the watched paths and the folders below them. */
  #listen(below: readonly string[]): void {
    // Folders, not files alone: a file that is replaced by a rename takes its watch with it.
    this.#entire = new Set([...this.#paths, ...below]);
    this.#files = new Set(this.#paths.map((path) => normalize(path)));
    const wanted = new Set([...this.#entire, ...this.#paths.map((path) => dirname(path))]);
    for (const [folder, subscription] of this.#subscriptions) {
      if (wanted.has(folder)) continue;
      subscription?.close();
      this.#subscriptions.delete(folder);
    }
    for (const folder of wanted) {
      if (!this.#subscriptions.has(folder))
        this.#subscriptions.set(
          folder,
          this.#subscribe(folder, (written) => {
            // An access log beside a bootstrap is written all the time.
            if (written === undefined || this.#entire.has(folder) || this.#files.has(join(folder, written))) this.#compare();
          }),
        );
    }
  }

  #schedulePoll(): void {
    // A folder of thousands of files takes a while to look through: events find its changes, and polling stays a tenth of the time.
    this.#pollTimer = this.#clock.after(Math.max(this.#pollMs, 10 * this.#comparedMs), () => {
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
    const startedMs = this.#clock.nowMs();
    this.#fingerprint(paths).then(
      (found) => {
        this.#comparedMs = this.#clock.nowMs() - startedMs;
        this.#compared(paths, found);
      },
      // A file that vanishes while it is looked at: the next comparison sees it settled.
      () => this.#compared(paths, undefined),
    );
  }

  #compared(paths: readonly string[], found: Fingerprint | undefined): void {
    this.#comparing = false;
    if (this.#closed) return;
    if (paths === this.#paths && found !== undefined) {
      const changed = this.#known !== undefined && found.text !== this.#known;
      this.#known = found.text;
      this.#listen(found.folders);
      this.#onReady();
      if (changed) this.#waitForQuiet();
    }
    if (!this.#again && paths === this.#paths) return;
    this.#again = false;
    this.#compare();
  }

  #waitForQuiet(): void {
    this.#quietTimer?.cancel();
    const nowMs = this.#clock.nowMs();
    this.#changedMs ??= nowMs;
    const delayMs = Math.max(0, Math.min(this.#debounceMs, this.#changedMs + this.#maxQuietMs - nowMs));
    this.#quietTimer = this.#clock.after(delayMs, () => {
      this.#quietTimer = undefined;
      this.#changedMs = undefined;
      this.#onChange();
    });
  }
}

function subscribeFs(folder: string, onEvent: (written?: string) => void): { close(): void } | undefined {
  try {
    const watcher = watchFs(folder, { persistent: false }, (event, name) =>
      event === "change" && name !== null ? onEvent(name) : onEvent(),
    );
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch {
    // Not there, not a folder, or out of inotify watches: polling covers it.
    return undefined;
  }
}

// More files than this are not configuration.
const maxEntries = 500_000;

async function fingerprintFs(paths: readonly string[]): Promise<Fingerprint> {
  const parts: string[] = [];
  const folders: string[] = [];
  const visit = async (path: string): Promise<void> => {
    const stats = await stat(path).catch(() => undefined);
    if (stats === undefined) parts.push(`${path} -`);
    else if (!stats.isDirectory()) parts.push(`${path} ${stats.size} ${stats.mtimeMs} ${stats.ctimeMs} ${stats.ino}`);
    else if (parts.length < maxEntries) {
      folders.push(path);
      const names = await readdir(path).catch(() => []);
      for (const name of names.toSorted((a, b) => (a < b ? -1 : 1))) await visit(join(path, name));
    }
  };
  for (const path of paths) await visit(path);
  return { text: parts.join("\n"), folders };
}
