// Counters of the compressor under Envoy's names.
import type { Counter, StatsScope } from "../../../telemetry/stats.ts";
import type { Choice } from "./accept-encoding.ts";

/** Either direction's. */
export interface DirectionStats {
  readonly compressed: Counter;
  readonly notCompressed: Counter;
  readonly uncompressedBytes: Counter;
  readonly compressedBytes: Counter;
  readonly contentLengthTooSmall: Counter;
}

/** The response direction's. */
export interface ResponseStats extends DirectionStats {
  readonly notCompressedEtag: Counter;
  /** Counts what Accept-Encoding came to. */
  count(why: Choice["why"], chosen: boolean): void;
}

/** Makes them below `scope`. */
export function countDirection(scope: StatsScope): DirectionStats {
  return {
    compressed: scope.counter("compressed"),
    notCompressed: scope.counter("not_compressed"),
    uncompressedBytes: scope.counter("total_uncompressed_bytes"),
    compressedBytes: scope.counter("total_compressed_bytes"),
    contentLengthTooSmall: scope.counter("content_length_too_small"),
  };
}

/**
 * Makes them: those of either direction below `direction`, those of responses alone below `scope`, which is the same unless
 * response_direction_config is given.
 */
export function countResponses(scope: StatsScope, direction: StatsScope): ResponseStats {
  const used = scope.counter("header_compressor_used");
  const overshadowed = scope.counter("header_compressor_overshadowed");
  const others: Readonly<Record<Exclude<Choice["why"], "chosen">, Counter>> = {
    no_accept_header: scope.counter("no_accept_header"),
    header_not_valid: scope.counter("header_not_valid"),
    header_identity: scope.counter("header_identity"),
    header_wildcard: scope.counter("header_wildcard"),
  };
  return {
    ...countDirection(direction),
    notCompressedEtag: scope.counter("not_compressed_etag"),
    count: (why, chosen) => (why !== "chosen" ? others[why] : chosen ? used : overshadowed).inc(),
  };
}
