// Stats that nobody reads: for connections of the proxy's own that must not count as a cluster's traffic.
import type { Counter, Gauge, Histogram, StatsScope } from "./stats.ts";

const nothing = (): void => {};
const counter: Counter = { inc: nothing, add: nothing };
const gauge: Gauge = { inc: nothing, dec: nothing, set: nothing };
const histogram: Histogram = { record: nothing };

/** Instruments that forget what is written to them. */
export const unrecorded: StatsScope = {
  counter: () => counter,
  gauge: () => gauge,
  histogram: () => histogram,
  scope: () => unrecorded,
};
