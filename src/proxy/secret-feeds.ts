// The feeds of one proxy: that of the workload's own certificate, and those of SDS servers that its configuration names.
import type { Secret } from "../envoy/tls/tls.ts";
import type { FeedStart, SecretFeed } from "../identity/workload/secret-feed.ts";
import type { LoadedConfig } from "./config-source.ts";
import { createServerFeed, createWorkloadFeed, type WorkloadFeedDeps, type WorkloadOrigin } from "./workload-origin.ts";

/** What feeds are made with; who the workload is, they learn from the configuration. */
export type SecretFeedsDeps = Omit<WorkloadFeedDeps, "workload"> & { readonly origin: WorkloadOrigin | undefined };

/** Feeds that follow the configuration. */
export class SecretFeeds {
  readonly #deps: SecretFeedsDeps;
  #config: LoadedConfig | undefined;
  #own: SecretFeed | undefined;
  #closed = false;
  readonly #servers = new Map<string, SecretFeed>();

  constructor(deps: SecretFeedsDeps) {
    this.#deps = deps;
  }

  /** Everything there is, the workload's own first. */
  get secrets(): readonly Secret[] {
    return this.#all.flatMap((feed) => feed.secrets);
  }

  /** True when nothing is waited for. */
  get ready(): boolean {
    return this.#all.every((feed) => feed.ready);
  }

  /** Starts what a configuration needs and is not there, ends what it needs no more. The problems are of those that started. */
  async follow(config: LoadedConfig): Promise<readonly (FeedStart & { readonly ok: false })[]> {
    this.#config = config;
    const started: Promise<FeedStart>[] = [];
    const { origin } = this.#deps;
    if (origin && !this.#own) {
      this.#own = await createWorkloadFeed(origin, this.#feedDeps());
      started.push(this.#own.start());
    }
    const wanted = new Map((config.secretServers ?? []).map(({ target, names }) => [JSON.stringify([target, names]), { target, names }]));
    for (const [key, feed] of this.#servers) {
      if (wanted.has(key)) continue;
      feed.close();
      this.#servers.delete(key);
    }
    for (const [key, { target, names }] of wanted) {
      if (this.#servers.has(key)) continue;
      const feed = await createServerFeed(target, names, this.#feedDeps());
      this.#servers.set(key, feed);
      started.push(feed.start());
    }
    // Closed while a feed was being made: nobody else would end it.
    if (this.#closed) this.close();
    const outcomes = await Promise.all(started);
    return outcomes.filter((outcome) => !outcome.ok);
  }

  /** Has every feed look again, as what `config` says the workload is; false when one found something that cannot be used. */
  async refresh(config: LoadedConfig): Promise<boolean> {
    this.#config = config;
    const outcomes = await Promise.all(this.#all.map((feed) => feed.refresh()));
    return outcomes.every(Boolean);
  }

  close(): void {
    this.#closed = true;
    for (const feed of this.#all) feed.close();
  }

  get #all(): readonly SecretFeed[] {
    return this.#own ? [this.#own, ...this.#servers.values()] : [...this.#servers.values()];
  }

  #feedDeps(): WorkloadFeedDeps {
    return { ...this.#deps, workload: () => this.#config! };
  }
}
