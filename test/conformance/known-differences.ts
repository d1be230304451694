// Why a recorded resource and ours may differ: every difference has to have a line here, or the comparison fails.

interface KnownDifference {
  readonly pattern: RegExp;
  readonly reason: string;
}

const known: readonly KnownDifference[] = [
  {
    pattern: /recorded "envoy\.filters\.network\.mongo_proxy"$/,
    reason: "Istio counts MongoDB operations by name; the bytes pass the same without that filter",
  },
];

/** What is left out of the comparison altogether (normalise.ts). */
export const notCompared =
  "not compared, as nothing is served differently for it: access_log, alt_stat_name, tracing, cleanup_interval, request_id_extension, " +
  "istio.stats, istio.metadata_exchange, peer metadata, grpc_stats, unlimited circuit breakers, istio filter_metadata";

/** The reason for a difference, undefined when nobody has given one. */
export function reasonOf(difference: string): string | undefined {
  return known.find(({ pattern }) => pattern.test(difference))?.reason;
}
