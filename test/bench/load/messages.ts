// What the bench tells its load generator and its upstream, and what they answer. Both are processes of their own, so
// that their work is on another core than the proxy's.
import type { Traffic } from "../benchmark.ts";

/** The certificate that TLS upstreams show and TLS clients trust. */
export interface BenchCertificate {
  readonly certificate: string;
  readonly key: string;
}

/** What both ends of mTLS show, and the root that both trust. */
export interface MeshCertificate extends BenchCertificate {
  readonly root: string;
}

/** Starts one upstream for each kind of traffic. */
export interface StartUpstream {
  readonly certificate: BenchCertificate;
}

/** Where the upstream of each kind of traffic listens on 127.0.0.1. */
export interface UpstreamStarted {
  readonly ports: Readonly<Record<Traffic, number>>;
}

/** Asks for load on one proxy: connect, check answers, say `started`, run, say `finished`. */
export interface RunLoad {
  readonly traffic: Traffic;
  readonly port: number;
  readonly connections: number;
  /** Requests under way at once on each of them. */
  readonly streams: number;
  readonly durationMs: number;
  readonly certificate: BenchCertificate;
  readonly mesh: MeshCertificate;
}

/** The load generator's words. `units` are requests, round trips, handshakes or bytes. */
export type LoadEvent =
  | { readonly kind: "started" }
  | { readonly kind: "finished"; readonly units: number; readonly seconds: number }
  | { readonly kind: "failed"; readonly reason: string };
