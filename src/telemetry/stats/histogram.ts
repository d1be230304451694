// Bucket layout of histograms, shared by the writing and the reading side, and quantiles estimated from it.

/** Upper bounds of the buckets: Envoy's default for Prometheus, in milliseconds or bytes. One more bucket takes what is larger. */
export const histogramBounds: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000,
];

/** Slots of one histogram: its buckets, the one past the last bound, and the sum. */
export const histogramSlots = histogramBounds.length + 2;

/** What was recorded: `buckets` are disjoint counts, one per bound and one past the last. */
export interface HistogramValue {
  readonly buckets: readonly number[];
  readonly sum: number;
  readonly count: number;
}

/** The value below which `quantile` (0..1) of the samples lie, interpolated within its bucket; NaN when there is no sample. */
export function estimateQuantile(value: HistogramValue, quantile: number): number {
  if (value.count === 0) return NaN;
  const target = quantile * value.count;
  let below = 0;
  for (let i = 0; i < value.buckets.length; i++) {
    const inBucket = value.buckets[i]!;
    if (inBucket > 0 && below + inBucket >= target) {
      const low = i === 0 ? 0 : histogramBounds[i - 1]!;
      // What lies past the last bound has no upper end to interpolate towards.
      const high = histogramBounds[i] ?? low;
      return low + (high - low) * Math.max(0, (target - below) / inBucket);
    }
    below += inBucket;
  }
  return histogramBounds.at(-1)!;
}
