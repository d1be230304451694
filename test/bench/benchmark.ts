// What is measured: the kinds of traffic, the unit that CPU time is divided by, and how much of it runs at once.

/** A kind of traffic that the load generator can make and the upstream can answer. */
export type Traffic = PlainTraffic | TlsTraffic;

/** Traffic whose bytes the proxy passes on as they come. */
export type PlainTraffic = "http1" | "tcp-rtt" | "tcp-bulk" | "sni-bulk";

/** Traffic whose TLS ends at the proxy: TLS 1.3, ECDSA P-256, both sides show a certificate. */
export type TlsTraffic = "tls-request" | "tls-handshake" | "tls-download" | "tls-upload";

/** One comparison. */
export interface Benchmark {
  readonly name: Traffic;
  /** A name that chooses several at once on the command line. */
  readonly group?: "tls";
  /** One line for the table. */
  readonly title: string;
  /** Connections open at once. */
  readonly connections: number;
  /** What a unit of work is called, and the unit of CPU time shown per unit of work. */
  readonly unit: "us/request" | "us/round trip" | "us/handshake" | "ms/GB";
}

/** Every benchmark, in the order in which they run. */
export const benchmarks: readonly Benchmark[] = [
  { name: "http1", title: "HTTP/1.1 keep-alive GET through the router alone", connections: 32, unit: "us/request" },
  { name: "tcp-rtt", title: "TCP round trips of 64 bytes", connections: 32, unit: "us/round trip" },
  { name: "tcp-bulk", title: "TCP bulk download", connections: 2, unit: "ms/GB" },
  { name: "sni-bulk", title: "TLS passthrough by SNI, bulk download", connections: 2, unit: "ms/GB" },
  { name: "tls-request", group: "tls", title: "HTTP/1.1 keep-alive GET over mTLS", connections: 32, unit: "us/request" },
  { name: "tls-handshake", group: "tls", title: "Full mTLS handshakes, one a connection", connections: 16, unit: "us/handshake" },
  { name: "tls-download", group: "tls", title: "TCP bulk download, mTLS terminated", connections: 2, unit: "ms/GB" },
  { name: "tls-upload", group: "tls", title: "TCP bulk upload, mTLS terminated", connections: 2, unit: "ms/GB" },
];

/** Seconds of CPU time for `units` (requests, round trips, handshakes or bytes) in the benchmark's own unit. */
export function cpuPerUnit(benchmark: Benchmark, cpuSeconds: number, units: number): number {
  return benchmark.unit === "ms/GB" ? (cpuSeconds * 1e3) / (units / 1e9) : (cpuSeconds * 1e6) / units;
}
