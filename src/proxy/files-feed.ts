// A workload certificate from a folder whose files are replaced now and then: by Kubernetes with a symbolic link, by others one by one.
import type { Clock, Timer } from "../clock.ts";
import { type FeedStart, type SecretFeed, WorkloadSecrets } from "../identity/workload/secret-feed.ts";
import { watchFiles, type FileWatch } from "../source/watch.ts";
import type { Logger } from "../telemetry/logger.ts";
import { loadCertificates } from "./certificates.ts";

/** What a feed from files is given. */
export interface FilesFeedDeps {
  readonly folder: string;
  /** Look at the folder when it changes. */
  readonly watch: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onChange: () => void;
}

/** Files that do not fit together are read once more after this time: whoever writes them one by one is done by then. */
const settleMs = 500;

/** A certificate from `cert-chain.pem`, `key.pem` and `root-cert.pem`. */
export function createFilesFeed(deps: FilesFeedDeps): SecretFeed {
  return new FilesFeed(deps);
}

class FilesFeed extends WorkloadSecrets implements SecretFeed {
  readonly #deps: FilesFeedDeps;
  #text = "";
  #watch: FileWatch | undefined;
  #settling: Timer | undefined;
  /** What was complained of last: the same is not said twice. */
  #complaint = "";

  constructor(deps: FilesFeedDeps) {
    super();
    this.#deps = deps;
  }

  async start(): Promise<FeedStart> {
    const { folder, watch, clock } = this.#deps;
    if (watch) this.#watch = watchFiles([folder], () => void this.#look(true), { clock });
    await this.#watch?.ready;
    const problems = await this.#load();
    return problems.length === 0 ? { ok: true } : { ok: false, fatal: true, problems };
  }

  refresh(): Promise<boolean> {
    return this.#look(false);
  }

  close(): void {
    this.closed = true;
    this.#settling?.cancel();
    this.#watch?.close();
  }

  async #look(mayBeUnfinished: boolean): Promise<boolean> {
    const { clock, logger, onChange } = this.#deps;
    this.#settling?.cancel();
    const before = this.held;
    const problems = await this.#load();
    if (this.closed) return false;
    if (problems.length === 0) {
      this.#complaint = "";
      if (this.held !== before) onChange();
    } else if (mayBeUnfinished) {
      this.#settling = clock.after(settleMs, () => void this.#look(false));
    } else if (problems.join("\n") !== this.#complaint) {
      this.#complaint = problems.join("\n");
      for (const problem of problems) logger.error("workload certificate refused, the one in use stays", { problem });
    }
    return problems.length === 0;
  }

  // All of it or nothing.
  async #load(): Promise<readonly string[]> {
    const loaded = await loadCertificates(this.#deps.folder, this.#deps.clock.wallMs());
    if (!loaded.ok) return loaded.problems;
    const text = JSON.stringify(loaded.secrets);
    if (text !== this.#text) this.held = loaded.secrets;
    this.#text = text;
    return [];
  }
}
