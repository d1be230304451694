// Why an east-west gateway refused a connection: the reasons, which are details in the access log and counters at once. Envoy
// says `filter_chain_not_found` or nothing to all of them. Which reason holds is for the listener and the TCP proxy to say.
import type { Counter, StatsScope } from "../telemetry/stats.ts";

/** Every reason. */
export const sniRefusals = [
  /** A hello without a server name. */
  "no_sni",
  /** A server name that is not `outbound_.PORT_.SUBSET_.HOST`. */
  "malformed_sni",
  "host_not_exported",
  /** The host is exported, this port of it is not. */
  "unknown_port",
  /** Host and port are exported, this subset is not. */
  "unknown_subset",
  /** The name is exported, but the client offers none of the protocols that mark a mesh client. */
  "no_mesh_alpn",
  /** The service has no endpoint here that a passed-through connection could go to. */
  "no_mtls_endpoints",
  "all_unhealthy",
  "hello_too_large",
  "hello_timeout",
  /** The first bytes are no ClientHello. */
  "not_tls",
] as const;

/** A reason. */
export type SniRefusal = (typeof sniRefusals)[number];

/** Counters by reason, `listener.ADDRESS.sni_refused.REASON`. */
export type SniRefusalStats = Readonly<Record<SniRefusal, Counter>>;

/** Makes the counters in a listener's scope. */
export function createSniRefusalStats(listenerScope: StatsScope): SniRefusalStats {
  const scope = listenerScope.scope("sni_refused");
  return Object.fromEntries(sniRefusals.map((reason) => [reason, scope.counter(reason)])) as Record<SniRefusal, Counter>;
}
