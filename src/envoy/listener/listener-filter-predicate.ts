// Decoder of listener.v3.ListenerFilterChainMatchPredicate, which turns a listener filter off for some connections.
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { integer, list, onlyTrue } from "../decode/scalars.ts";
import type { ListenerFilterPredicate } from "./listener.ts";

const bound = integer(0, 65536);

/** type.v3.Int32Range over ports: start inclusive, end exclusive. */
export const decodePortRange = message("envoy.type.v3.Int32Range", (m) => {
  const start = m.field("start", bound, 0);
  const end = m.field("end", bound, 0);
  if (end <= start) m.at.error(`an empty range: the end ${end} is exclusive and must be above the start ${start}`);
  return { start, end };
});

const decodeRules = message("envoy.config.listener.v3.ListenerFilterChainMatchPredicate.MatchSet", (m) =>
  m.required("rules", list(decodeListenerFilterPredicate, { min: 2 })),
);

/** ListenerFilterChainMatchPredicate. */
export const decodeListenerFilterPredicate: Decoder<ListenerFilterPredicate> = message(
  "envoy.config.listener.v3.ListenerFilterChainMatchPredicate",
  (m) =>
    m.requiredOneof<ListenerFilterPredicate>(
      {
        or_match: (json, at) => ({ kind: "or", rules: decodeRules(json, at) }),
        and_match: (json, at) => ({ kind: "and", rules: decodeRules(json, at) }),
        not_match: (json, at) => ({ kind: "not", rule: decodeListenerFilterPredicate(json, at) }),
        any_match: (json, at) => (onlyTrue(json, at), { kind: "any" }),
        destination_port_range: (json, at) => ({ kind: "destinationPortRange", ...decodePortRange(json, at) }),
      },
      { kind: "any" },
    ),
);
