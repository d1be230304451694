// What is measured: the kinds of traffic, the unit that CPU time is divided by, and how much of it runs at once.

/** A kind of traffic that the load generator can make and the upstream can answer. */
export type Traffic = PlainTraffic | TlsTraffic | HttpTraffic;

/** Traffic whose bytes the proxy passes on as they come. */
export type PlainTraffic = "http1" | "tcp-rtt" | "tcp-bulk" | "sni-bulk";

/** Traffic whose TLS ends at the proxy: TLS 1.3, ECDSA P-256, both sides show a certificate. */
export type TlsTraffic = "tls-request" | "tls-handshake" | "tls-download" | "tls-upload";

/** Requests in clear text on both sides: HTTP/1.1 through filters and routes as in a sidecar, HTTP/2, unary calls of gRPC. */
export type HttpTraffic = "http-chain" | Http2Traffic;

/** Traffic over HTTP/2. */
export type Http2Traffic = "http2" | "grpc";

/** One comparison. */
export interface Benchmark {
  readonly name: Traffic;
  /** A name that chooses several at once on the command line. */
  readonly group?: "tls" | "http";
  /** One line for the table. */
  readonly title: string;
  /** Connections open at once. */
  readonly connections: number;
  /** Requests under way at once on each of them; default 1. */
  readonly streams?: number;
  /** What isthmus is to stay below: its CPU time per unit as a share of Envoy's. */
  readonly limit?: number;
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
  { name: "http-chain", group: "http", title: "HTTP/1.1 GET through a sidecar's chain", connections: 32, unit: "us/request", limit: 0.5 },
  { name: "http2", group: "http", title: "HTTP/2 GET, clear text both ways", connections: 8, streams: 4, unit: "us/request", limit: 0.8 },
  { name: "grpc", group: "http", title: "gRPC unary call", connections: 8, streams: 4, unit: "us/request", limit: 0.8 },
];

/** Seconds of CPU time for `units` (requests, round trips, handshakes or bytes) in the benchmark's own unit. */
export function cpuPerUnit(benchmark: Benchmark, cpuSeconds: number, units: number): number {
  return benchmark.unit === "ms/GB" ? (cpuSeconds * 1e3) / (units / 1e9) : (cpuSeconds * 1e6) / units;
}
