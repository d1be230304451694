// Envoy's matchers over dynamic metadata (type.matcher.v3 MetadataMatcher and ValueMatcher) as plain data; match/ compiles them.
import type { Decoder } from "./decode/cursor.ts";
import { message } from "./decode/message.ts";
import { bool, double, list, nonEmpty } from "./decode/scalars.ts";
import { decodeStringMatcher, type StringMatcher } from "./string-matcher.ts";

/** type.matcher.v3.ValueMatcher. */
export type ValueMatcher =
  | { readonly kind: "null" }
  | { readonly kind: "string"; readonly matcher: StringMatcher }
  | { readonly kind: "bool"; readonly value: boolean }
  /** Start inclusive, end exclusive; an exact number has `exact`. */
  | { readonly kind: "double"; readonly exact: number }
  | { readonly kind: "range"; readonly start: number; readonly end: number }
  | { readonly kind: "present"; readonly present: boolean }
  /** A list one of whose items matches. */
  | { readonly kind: "oneOf"; readonly item: ValueMatcher }
  | { readonly kind: "or"; readonly matchers: readonly ValueMatcher[] };

/** type.matcher.v3.MetadataMatcher. */
export interface MetadataMatcher {
  /** The filter whose metadata is looked at. */
  readonly filter: string;
  readonly path: readonly string[];
  readonly value: ValueMatcher;
  readonly invert: boolean;
}

const strict = { unhandled: "error" } as const;

const decodeRange = message(
  "envoy.type.v3.DoubleRange",
  (m): ValueMatcher => ({ kind: "range", start: m.field("start", double, 0), end: m.field("end", double, 0) }),
  strict,
);

const decodeDouble: Decoder<ValueMatcher> = message(
  "envoy.type.matcher.v3.DoubleMatcher",
  (m) =>
    m.requiredOneof<ValueMatcher>(
      { exact: (json, at) => ({ kind: "double", exact: double(json, at) }), range: decodeRange },
      { kind: "present", present: false },
    ),
  strict,
);

const decodeList: Decoder<ValueMatcher> = message(
  "envoy.type.matcher.v3.ListMatcher",
  (m): ValueMatcher => ({ kind: "oneOf", item: m.required("one_of", decodeValueMatcher) }),
  strict,
);

const decodeOr: Decoder<ValueMatcher> = message(
  "envoy.type.matcher.v3.OrMatcher",
  (m): ValueMatcher => ({ kind: "or", matchers: m.required("value_matchers", list(decodeValueMatcher, { min: 2 })) }),
  strict,
);

/** type.matcher.v3.ValueMatcher. */
const decodeValueMatcher: Decoder<ValueMatcher> = message(
  "envoy.type.matcher.v3.ValueMatcher",
  (m) =>
    m.requiredOneof<ValueMatcher>(
      {
        null_match: () => ({ kind: "null" }),
        double_match: decodeDouble,
        string_match: (json, at) => ({ kind: "string", matcher: decodeStringMatcher(json, at) }),
        bool_match: (json, at) => ({ kind: "bool", value: bool(json, at) }),
        present_match: (json, at) => ({ kind: "present", present: bool(json, at) }),
        list_match: decodeList,
        or_match: decodeOr,
      },
      { kind: "present", present: false },
    ),
  strict,
);

const decodeSegment = message("envoy.type.matcher.v3.MetadataMatcher.PathSegment", (m) => m.required("key", nonEmpty), strict);

/** type.matcher.v3.MetadataMatcher. */
export const decodeMetadataMatcher: Decoder<MetadataMatcher> = message(
  "envoy.type.matcher.v3.MetadataMatcher",
  (m) => ({
    filter: m.required("filter", nonEmpty),
    path: m.required("path", list(decodeSegment, { min: 1 })),
    value: m.required("value", decodeValueMatcher),
    invert: m.field("invert", bool, false),
  }),
  strict,
);
