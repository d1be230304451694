// Counters, gauges and histograms under Envoy's stat names. Instruments are made when configuration is applied and
// written on the data path: an increment is one array write.

/** Only grows. */
export interface Counter {
  inc(): void;
  add(amount: number): void;
}

/** Goes up and down. */
export interface Gauge {
  inc(): void;
  dec(): void;
  set(value: number): void;
}

/** Distribution of values (milliseconds or bytes). */
export interface Histogram {
  record(value: number): void;
}

/** Makes instruments; the same name always gives the same instrument. */
export interface StatsScope {
  counter(name: string): Counter;
  gauge(name: string): Gauge;
  histogram(name: string): Histogram;
  /** A scope whose names start with `prefix.` (dots of the prefix itself are kept as they are). */
  scope(prefix: string): StatsScope;
}

const noInstrument: Counter & Gauge & Histogram = {
  inc: () => undefined,
  dec: () => undefined,
  add: () => undefined,
  set: () => undefined,
  record: () => undefined,
};

/** Instruments that nobody reads, for connections that belong to no traffic. */
export const noStats: StatsScope = {
  counter: () => noInstrument,
  gauge: () => noInstrument,
  histogram: () => noInstrument,
  scope: () => noStats,
};
