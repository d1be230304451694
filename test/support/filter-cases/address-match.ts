// Cases of rate limit actions by address, seen by what a local rate limit makes of them.
import { filter, type FilterCase, type FilterTable, get } from "./case.ts";

const all = { default_value: { numerator: 100, denominator: "HUNDRED" } };
const bucket = (tokens: number): object => ({ max_tokens: tokens, tokens_per_fill: 1, fill_interval: "600s" });
const limited = (...entries: readonly (readonly [string, string])[]): readonly object[] =>
  entries.map(([key, value]) => ({ entries: [{ key, value }], token_bucket: bucket(1) }));

// Each descriptor has one token, so that the second request of its kind is refused.
const passes = (title: string, ...fields: readonly string[]): FilterCase => ({
  title,
  request: get("/", ...fields),
  status: 200,
  details: "via_upstream",
});
const refused = (title: string, ...fields: readonly string[]): FilterCase => ({
  title,
  request: get("/", ...fields),
  status: 429,
  details: "local_rate_limited",
  flags: "RL",
});

const key = "remote_address_match";
const table = (name: string, action: object, descriptors: readonly object[], cases: readonly FilterCase[]): FilterTable => ({
  name: `remote_address_match: ${name}`,
  filters: [
    filter("limit", "local_ratelimit.v3.LocalRateLimit", {
      stat_prefix: "limit",
      filter_enabled: all,
      filter_enforced: all,
      token_bucket: bucket(100),
      descriptors,
    }),
  ],
  routes: [{ match: { prefix: "/" }, route: { cluster: "origin", rate_limits: [{ actions: [{ remote_address_match: action }] }] } }],
  cases,
  stats: { "limit.http_local_rate_limit.rate_limited": cases.filter(({ status }) => status === 429).length },
});
const within = (prefix: string, length: number, invert = false): object => ({
  address_matcher: { ranges: [{ address_prefix: prefix, prefix_len: length }], invert_match: invert },
});

/** Ranges, their inversion, and values with operators. */
export const addressMatchCases: readonly FilterTable[] = [
  table("in a range", { ...within("127.0.0.0", 8), descriptor_value: "near" }, limited([key, "near"]), [
    passes("first"),
    refused("second"),
    passes("another client, by header", "x-forwarded-for: 10.1.1.1"),
  ]),
  table("a key of its own", { ...within("127.0.0.0", 8), descriptor_key: "k", descriptor_value: "near" }, limited(["k", "near"]), [
    passes("first"),
    refused("second"),
  ]),
  table("in no range", { ...within("10.0.0.0", 8, true), descriptor_value: "far" }, limited([key, "far"]), [
    passes("first"),
    refused("second"),
    passes("in the range", "x-forwarded-for: 10.1.1.1"),
  ]),
  table(
    "a value with an operator",
    { ...within("127.0.0.0", 8), descriptor_value: "%REQ(x)%", default_value: "none" },
    limited([key, "1"], [key, "none"]),
    [passes("first", "x: 1"), refused("second", "x: 1"), passes("without a value"), refused("without a value again")],
  ),
  table("no value at all", { ...within("127.0.0.0", 8), descriptor_value: "%REQ(x)%" }, limited([key, ""], [key, "-"]), [
    passes("first"),
    passes("second"),
  ]),
];
