// The writing side of stats: one slab a thread, slots in SharedArrayBuffer chunks that the main thread reads (stats/stats-reader.ts).
// Only the owning thread writes, so an increment needs no atomics. Names are announced in batches, because a configuration
// registers thousands at once.
import { histogramBounds, histogramSlots } from "./stats/histogram.ts";
import type { Counter, Gauge, Histogram, StatsScope } from "./stats.ts";

/** What a slot holds. */
export type StatKind = "counter" | "gauge" | "histogram";

/** Where a named instrument lives. */
export interface StatSlot {
  readonly kind: StatKind;
  readonly name: string;
  /** Index of the chunk in the order of announcement, and of the instrument's first slot in it. */
  readonly chunk: number;
  readonly slot: number;
}

/** What a slab tells the reader; plain data that may cross threads. */
export interface StatsAnnouncement {
  readonly chunks: readonly SharedArrayBuffer[];
  readonly slots: readonly StatSlot[];
}

/** Slots a chunk: 64 KiB, so a sidecar of 100 clusters needs a handful. */
const chunkSlots = 8192;

class SlotCounter implements Counter {
  readonly #values: Float64Array;
  readonly #index: number;
  constructor(values: Float64Array, index: number) {
    this.#values = values;
    this.#index = index;
  }
  inc(): void {
    this.#values[this.#index]! += 1;
  }
  add(amount: number): void {
    this.#values[this.#index]! += amount;
  }
}

class SlotGauge implements Gauge {
  readonly #values: Float64Array;
  readonly #index: number;
  constructor(values: Float64Array, index: number) {
    this.#values = values;
    this.#index = index;
    // Minus zero means "never written" to the reader (`usedonly`): no sum or set of a live gauge gives it.
    values[index] = -0;
  }
  inc(): void {
    this.#values[this.#index]! += 1;
  }
  dec(): void {
    this.#values[this.#index]! -= 1;
  }
  set(value: number): void {
    this.#values[this.#index] = value + 0;
  }
}

class SlotHistogram implements Histogram {
  readonly #values: Float64Array;
  readonly #index: number;
  constructor(values: Float64Array, index: number) {
    this.#values = values;
    this.#index = index;
  }
  record(value: number): void {
    // Most values are small, so a scan from below ends after a few steps.
    let bucket = 0;
    while (bucket < histogramBounds.length && value > histogramBounds[bucket]!) bucket++;
    this.#values[this.#index + bucket]! += 1;
    this.#values[this.#index + histogramSlots - 1]! += value;
  }
}

/** One thread's instruments. Names register when they are first asked for. */
export class StatsSlab {
  readonly #announce: (announcement: StatsAnnouncement) => void;
  readonly #counters = new Map<string, Counter>();
  readonly #gauges = new Map<string, Gauge>();
  readonly #histograms = new Map<string, Histogram>();
  #values: Float64Array = new Float64Array(0);
  #chunk = -1;
  #next = 0;
  #newChunks: SharedArrayBuffer[] = [];
  #newSlots: StatSlot[] = [];

  /** @param announce called after the current turn of the loop with what is new, and by `flush` */
  constructor(announce: (announcement: StatsAnnouncement) => void) {
    this.#announce = announce;
  }

  /** The scope whose names have no prefix. */
  get root(): StatsScope {
    return this.#scope("");
  }

  /** Announces at once what is still waiting, e.g. before the thread ends. */
  flush(): void {
    if (this.#newSlots.length === 0 && this.#newChunks.length === 0) return;
    const announcement = { chunks: this.#newChunks, slots: this.#newSlots };
    this.#newChunks = [];
    this.#newSlots = [];
    this.#announce(announcement);
  }

  #scope(prefix: string): StatsScope {
    return {
      counter: (name) => this.#get(this.#counters, "counter", prefix + name, 1, (values, index) => new SlotCounter(values, index)),
      gauge: (name) => this.#get(this.#gauges, "gauge", prefix + name, 1, (values, index) => new SlotGauge(values, index)),
      histogram: (name) =>
        this.#get(this.#histograms, "histogram", prefix + name, histogramSlots, (values, index) => new SlotHistogram(values, index)),
      scope: (name) => this.#scope(name === "" ? prefix : `${prefix}${name}.`),
    };
  }

  #get<T>(known: Map<string, T>, kind: StatKind, name: string, slots: number, make: (values: Float64Array, index: number) => T): T {
    const found = known.get(name);
    if (found !== undefined) return found;
    if (this.#next + slots > this.#values.length) this.#grow();
    const made = make(this.#values, this.#next);
    known.set(name, made);
    if (this.#newSlots.length === 0) queueMicrotask(() => this.flush());
    this.#newSlots.push({ kind, name, chunk: this.#chunk, slot: this.#next });
    this.#next += slots;
    return made;
  }

  #grow(): void {
    const buffer = new SharedArrayBuffer(chunkSlots * Float64Array.BYTES_PER_ELEMENT);
    this.#values = new Float64Array(buffer);
    this.#chunk++;
    this.#next = 0;
    this.#newChunks.push(buffer);
  }
}
