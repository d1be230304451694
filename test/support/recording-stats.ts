// Stats that a test can read back by full name.
import type { StatsScope } from "../../src/telemetry/stats.ts";

/** A scope with what was written to it and below. */
export interface RecordingStats extends StatsScope {
  /** A counter's or gauge's value, or how often a histogram was written; undefined when the instrument was never made. */
  value(name: string): number | undefined;
  names(): readonly string[];
}

/** Makes an empty scope. */
export function recordingStats(): RecordingStats {
  const values = new Map<string, number>();
  const add = (name: string, amount: number): void => void values.set(name, (values.get(name) ?? 0) + amount);
  const at = (prefix: string): StatsScope => ({
    counter: (name) => {
      add(prefix + name, 0);
      return { inc: () => add(prefix + name, 1), add: (amount) => add(prefix + name, amount) };
    },
    gauge: (name) => {
      add(prefix + name, 0);
      return { inc: () => add(prefix + name, 1), dec: () => add(prefix + name, -1), set: (value) => void values.set(prefix + name, value) };
    },
    histogram: (name) => {
      add(prefix + name, 0);
      return { record: () => add(prefix + name, 1) };
    },
    scope: (name) => at(`${prefix}${name}.`),
  });
  return { ...at(""), value: (name) => values.get(name), names: () => [...values.keys()] };
}
