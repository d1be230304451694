// Durations as people write them in YAML (Go's form) and as Envoy's JSON carries them (proto3's form).
import type { Fields } from "./fields.ts";

/** A proto3 JSON or Go duration (`10s`, `1.5s`, `100ms`, `1m`) as proto3 JSON seconds. */
export function readDuration(fields: Fields, key: string): string | undefined {
  const text = fields.string(key);
  if (text === undefined) return undefined;
  const seconds = parseDurationSeconds(text);
  if (seconds === undefined) {
    fields.error(key, `is "${text}", expected a duration such as 10s or 100ms`);
    return undefined;
  }
  return encodeDuration(seconds);
}

const unitSeconds: Readonly<Record<string, number>> = { h: 3600, m: 60, s: 1, ms: 1e-3, us: 1e-6, µs: 1e-6, ns: 1e-9 };

/** Seconds of a Go duration, or undefined when it is none. */
export function parseDurationSeconds(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(h|ms|m|s|us|µs|ns))+$/.test(text)) return text === "0" ? 0 : undefined;
  let seconds = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)/g))
    seconds += Number(amount) * (unitSeconds[unit ?? "s"] ?? 1);
  return seconds;
}

/** proto3 JSON: no fraction, or one of 3, 6 or 9 digits. */
export function encodeDuration(seconds: number): string {
  for (const digits of [0, 3, 6]) {
    const text = seconds.toFixed(digits);
    if (Math.abs(Number(text) - seconds) < 1e-9) return `${text}s`;
  }
  return `${seconds.toFixed(9)}s`;
}
