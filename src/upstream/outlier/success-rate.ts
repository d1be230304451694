// How often a host succeeded, counted by sweep interval, and which of several hosts fall behind the others.

/** Results of one host: those of the interval that runs and those of the last whole one. */
export class SuccessRate {
  #total = 0;
  #succeeded = 0;
  #lastTotal = 0;
  #lastSucceeded = 0;

  /** Counts one result. */
  add(succeeded: boolean): void {
    this.#total++;
    if (succeeded) this.#succeeded++;
  }

  /** A new interval begins. */
  rotate(): void {
    this.#lastTotal = this.#total;
    this.#lastSucceeded = this.#succeeded;
    this.#total = 0;
    this.#succeeded = 0;
  }

  /** Results of the last whole interval. */
  get volume(): number {
    return this.#lastTotal;
  }

  /** Percent of the last whole interval's results that were successes; undefined without any. */
  get percent(): number | undefined {
    return this.#lastTotal === 0 ? undefined : (this.#lastSucceeded * 100) / this.#lastTotal;
  }
}

/** The success rate below which a host is an outlier: Envoy's mean - factor x standard deviation (of the population). */
export function outlierThreshold(rates: readonly number[], stdevFactor: number): number {
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  const variance = rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / rates.length;
  return mean - stdevFactor * Math.sqrt(variance);
}
