// What is measured: the kinds of traffic, the unit that CPU time is divided by, and how much of it runs at once.

/** A kind of traffic that the load generator can make and the upstream can answer. */
export type Traffic = "http1" | "tcp-rtt" | "tcp-bulk" | "sni-bulk";

/** One comparison. */
export interface Benchmark {
  readonly name: Traffic;
  /** One line for the table. */
  readonly title: string;
  /** Connections open at once. */
  readonly connections: number;
  /** What a unit of work is called, and the unit of CPU time shown per unit of work. */
  readonly unit: "us/request" | "us/round trip" | "ms/GB";
}

/** Every benchmark, in the order in which they run. */
export const benchmarks: readonly Benchmark[] = [
  { name: "http1", title: "HTTP/1.1 keep-alive GET through the router alone", connections: 32, unit: "us/request" },
  { name: "tcp-rtt", title: "TCP round trips of 64 bytes", connections: 32, unit: "us/round trip" },
  { name: "tcp-bulk", title: "TCP bulk download", connections: 2, unit: "ms/GB" },
  { name: "sni-bulk", title: "TLS passthrough by SNI, bulk download", connections: 2, unit: "ms/GB" },
];

/** Seconds of CPU time for `units` (requests, round trips or bytes) in the benchmark's own unit. */
export function cpuPerUnit(benchmark: Benchmark, cpuSeconds: number, units: number): number {
  return benchmark.unit === "ms/GB" ? (cpuSeconds * 1e3) / (units / 1e9) : (cpuSeconds * 1e6) / units;
}
