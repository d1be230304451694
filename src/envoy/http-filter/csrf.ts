// Envoy extensions.filters.http.csrf.v3.CsrfPolicy; also its per-route form.
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { list } from "../decode/scalars.ts";
import { decodeRuntimeShare } from "../percent.ts";
import { decodeStringMatcher, type StringMatcher } from "../string-matcher.ts";

/** CsrfPolicy. Shares are 0..1. */
export interface CsrfPolicy {
  /** Requests whose origin is judged and, when it is another, refused. */
  readonly enabledFraction: number;
  /** Requests whose origin is judged for the counters alone. */
  readonly shadowFraction: number;
  /** Hosts with their ports that are allowed beside the destination itself. */
  readonly additionalOrigins: readonly StringMatcher[];
}

/** CsrfPolicy. */
export const decodeCsrf: Decoder<CsrfPolicy> = message(
  "envoy.extensions.filters.http.csrf.v3.CsrfPolicy",
  (m) => ({
    enabledFraction: m.required("filter_enabled", decodeRuntimeShare),
    shadowFraction: m.field("shadow_enabled", decodeRuntimeShare, 0),
    additionalOrigins: m.field("additional_origins", list(decodeStringMatcher), []),
  }),
  { unhandled: "error" },
);
