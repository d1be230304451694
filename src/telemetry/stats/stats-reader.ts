// The reading side of stats, on the main thread: sums the slabs of all threads by name when somebody asks.
import { histogramBounds, histogramSlots } from "./histogram.ts";
import type { HistogramValue } from "./histogram.ts";
import type { StatKind, StatsAnnouncement } from "../stats-slab.ts";

/** One stat, summed over the threads. */
export type StatValue =
  | { readonly kind: "counter" | "gauge"; readonly name: string; readonly value: number; /** Was ever written. */ readonly used: boolean }
  | { readonly kind: "histogram"; readonly name: string; readonly value: HistogramValue; readonly used: boolean };

interface Location {
  readonly values: Float64Array;
  readonly slot: number;
}

interface Instrument {
  readonly kind: StatKind;
  readonly name: string;
  /** Per owner where it lives. */
  readonly live: Map<string, Location>;
  /** What threads that are gone had counted, and, for counters, what a reset takes away. One number, or a histogram's slots. */
  readonly retired: number[];
  baseline: number;
}

// Every worker applies the same configuration and writes the same figures about it, so for these the largest is the truth
// and the sum is not. Hosts ejected now are of this kind: workers judge for themselves, but of the same hosts. A
// circuit breaker is open when it is in any worker.
const replicated =
  /^(?:cluster_manager\.|listener_manager\.(?:listener_|total_)|runtime\.|http\..*\.rds\.|cluster\..*\.(?:membership_|max_host_weight|version$|update_|warming_state|lb_recalculate|lb_subsets_active|assignment_|health_check\.(?:healthy|degraded)|outlier_detection\.ejections_active|circuit_breakers\.\w+\.\w+_open$)|sds\.|listener\..*\.server_ssl_socket_factory\.(?:ssl_context_update_by_sds))/;

/** Sums slabs. An owner is a thread, e.g. `worker_0`. */
export class StatsReader {
  readonly #chunks = new Map<string, Float64Array[]>();
  readonly #instruments = new Map<string, Instrument>();

  /** Takes in what a slab announced. */
  add(owner: string, announcement: StatsAnnouncement): void {
    let chunks = this.#chunks.get(owner);
    if (!chunks) this.#chunks.set(owner, (chunks = []));
    for (const chunk of announcement.chunks) chunks.push(new Float64Array(chunk));
    for (const { kind, name, chunk, slot } of announcement.slots) {
      const values = chunks[chunk];
      if (!values) continue;
      const key = `${kind} ${name}`;
      let instrument = this.#instruments.get(key);
      if (!instrument) this.#instruments.set(key, (instrument = { kind, name, live: new Map(), retired: [], baseline: 0 }));
      instrument.live.set(owner, { values, slot });
    }
  }

  /** A thread is gone: what it counted stays in the sums, its gauges end. */
  retire(owner: string): void {
    for (const instrument of this.#instruments.values()) {
      const location = instrument.live.get(owner);
      if (!location) continue;
      instrument.live.delete(owner);
      if (instrument.kind === "gauge") continue;
      if (instrument.kind === "counter" && replicated.test(instrument.name)) continue;
      const slots = instrument.kind === "histogram" ? histogramSlots : 1;
      for (let i = 0; i < slots; i++) instrument.retired[i] = (instrument.retired[i] ?? 0) + location.values[location.slot + i]!;
    }
    this.#chunks.delete(owner);
  }

  /** Counters start again from zero, as far as readers see. */
  resetCounters(): void {
    for (const instrument of this.#instruments.values()) {
      if (instrument.kind === "counter") instrument.baseline = sum(instrument);
    }
  }

  /** Every stat, by name. */
  list(): StatValue[] {
    const values: StatValue[] = [];
    for (const instrument of this.#instruments.values()) values.push(read(instrument));
    return values.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  }

  /** A counter's or gauge's value, or a histogram's count; 0 when nothing has that name. */
  value(name: string): number {
    for (const kind of ["counter", "gauge", "histogram"]) {
      const instrument = this.#instruments.get(`${kind} ${name}`);
      if (!instrument) continue;
      const stat = read(instrument);
      return stat.kind === "histogram" ? stat.value.count : stat.value;
    }
    return 0;
  }
}

function sum(instrument: Instrument): number {
  const whole = replicated.test(instrument.name);
  let total = instrument.retired[0] ?? 0;
  for (const { values, slot } of instrument.live.values()) {
    const value = values[slot]!;
    total = whole ? Math.max(total, value) : total + value;
  }
  return total;
}

function read(instrument: Instrument): StatValue {
  const { kind, name } = instrument;
  if (kind === "histogram") {
    const slots: number[] = Array.from({ length: histogramSlots }, (_, i) => instrument.retired[i] ?? 0);
    for (const { values, slot } of instrument.live.values()) for (let i = 0; i < histogramSlots; i++) slots[i]! += values[slot + i]!;
    const buckets = slots.slice(0, histogramBounds.length + 1);
    const count = buckets.reduce((total, bucket) => total + bucket, 0);
    return { kind, name, value: { buckets, sum: slots[histogramSlots - 1]!, count }, used: count > 0 };
  }
  const total = sum(instrument);
  if (kind === "gauge") {
    let used = false;
    for (const { values, slot } of instrument.live.values()) used ||= !Object.is(values[slot], -0);
    return { kind, name, value: total + 0, used };
  }
  return { kind, name, value: total - instrument.baseline, used: total > 0 };
}
