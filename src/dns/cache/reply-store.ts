// Replies by question, least recently used out first, bounded in number and in bytes. Knows no sockets and no clock.
import type { Gauge } from "../../telemetry/stats.ts";
import type { SharedReply } from "./shared-reply.ts";

/** One reply and until when it is good for what. */
export interface StoredReply {
  readonly reply: SharedReply;
  readonly storedMs: number;
  readonly freshUntilMs: number;
  readonly staleUntilMs: number;
  /** While stale: upstream has just failed and is not asked again before. */
  retryMs: number;
}

/** Memory of an entry beside its reply and its key: objects, the table's slot. An estimate, on the large side. */
const ENTRY_OVERHEAD_BYTES = 400;

/** The replies. */
export class ReplyStore {
  readonly #maxEntries: number;
  readonly #maxBytes: number;
  readonly #entries = new Map<string, StoredReply>();
  readonly #entryGauge: Gauge;
  readonly #byteGauge: Gauge;
  #bytes = 0;

  constructor(maxEntries: number, maxBytes: number, gauges: { readonly entries: Gauge; readonly bytes: Gauge }) {
    this.#maxEntries = maxEntries;
    this.#maxBytes = maxBytes;
    this.#entryGauge = gauges.entries;
    this.#byteGauge = gauges.bytes;
  }

  get size(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** What is kept for `key`, which thereby is the last to go; nothing that is too old even as stale. */
  get(key: string, nowMs: number): StoredReply | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#entries.delete(key);
    if (nowMs >= entry.staleUntilMs) {
      this.#bytes -= cost(key, entry);
      this.#publish();
      return undefined;
    }
    this.#entries.set(key, entry);
    return entry;
  }

  /** Keeps `entry` in place of what was there; one that is larger than the whole store is not kept. */
  set(key: string, entry: StoredReply): void {
    this.delete(key);
    const size = cost(key, entry);
    if (size > this.#maxBytes || this.#maxEntries === 0) return;
    this.#entries.set(key, entry);
    this.#bytes += size;
    for (const [oldest, other] of this.#entries) {
      if (this.#entries.size <= this.#maxEntries && this.#bytes <= this.#maxBytes) break;
      this.#entries.delete(oldest);
      this.#bytes -= cost(oldest, other);
    }
    this.#publish();
  }

  /** Forgets `key`. */
  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#bytes -= cost(key, entry);
    this.#publish();
  }

  #publish(): void {
    this.#entryGauge.set(this.#entries.size);
    this.#byteGauge.set(this.#bytes);
  }
}

function cost(key: string, { reply }: StoredReply): number {
  return reply.bytes.length + 2 * reply.ttlOffsets.length + key.length + ENTRY_OVERHEAD_BYTES;
}
