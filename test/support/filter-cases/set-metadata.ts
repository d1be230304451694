// Cases of the filter that sets metadata.
import { any, filter, filterConfig, type FilterTable, get, route } from "./case.ts";

const config = "set_metadata.v3.Config";
const entries = (...metadata: readonly object[]): object => ({ metadata });
const ns = (value: object, more: object = {}): object => ({ metadata_namespace: "ns", value, ...more });
const overwrite = { allow_overwrite: true };
const served = { status: 200, details: "via_upstream" };
const merged = { a: "text", l: [1, 2], m: "was a list", o: { x: 9, y: 2 }, s: 5, b: false };

/** Merging, refusing to overwrite, and what routes add. */
export const setMetadataCases: FilterTable = {
  name: "set_metadata",
  filters: [
    filter("first", config, entries(ns({ a: 1, l: [1], m: [1], o: { x: 1 }, s: "t", b: true }))),
    filter("denied", config, entries(ns({ a: 2 }))),
    filter(
      "second",
      config,
      entries(ns({ a: 3, l: [2], o: { y: 2 }, s: 5, b: false }, overwrite), { metadata_namespace: "two", value: { k: "v" } }),
    ),
    filter("third", config, entries(ns({ a: "text", m: "was a list", o: { x: 9 } }, overwrite))),
    filter("single", config, { metadata_namespace: "old", value: { z: 1 } }),
    filter("unless", config, entries({ metadata_namespace: "unless", value: { k: 1 } }), { disabled: true }),
  ],
  virtualHost: { typed_per_filter_config: { third: any(config, entries(ns({ host: "too" }, overwrite))) } },
  routes: [
    route("/off", { first: filterConfig({ disabled: true }), denied: filterConfig({ disabled: true }) }),
    route("/denied", { first: any(config, entries(ns({ route: 1 }))) }),
    route("/added", { third: any(config, entries(ns({ route: 1 }, overwrite))) }),
    route("/on", { unless: any(config, entries({ metadata_namespace: "more", value: { k: 1 } })) }),
    route("/enabled", { unless: filterConfig({ config: {} }) }),
    route("/"),
  ],
  log: {
    ns: "%DYNAMIC_METADATA(ns)%",
    two: "%DYNAMIC_METADATA(two:k)%",
    old: "%DYNAMIC_METADATA(old)%",
    unless: "%DYNAMIC_METADATA(unless)%",
    more: "%DYNAMIC_METADATA(more)%",
  },
  cases: [
    {
      title: "merges what may be overwritten",
      request: get("/"),
      ...served,
      log: { ns: { ...merged, host: "too" }, two: "v", old: { z: 1 }, unless: null },
    },
    {
      title: "leaves out what a route switches off",
      request: get("/off"),
      ...served,
      log: { ns: { a: "text", l: [2], m: "was a list", o: { x: 9, y: 2 }, s: 5, b: false, host: "too" } },
    },
    { title: "keeps what a route may not overwrite", request: get("/denied"), ...served, log: { ns: { ...merged, host: "too" } } },
    { title: "adds what a route has", request: get("/added"), ...served, log: { ns: { ...merged, route: 1 } } },
    { title: "runs a filter that a route switches on", request: get("/on"), ...served, log: { unless: { k: 1 }, more: { k: 1 } } },
    { title: "runs it without a configuration of the route's", request: get("/enabled"), ...served, log: { unless: { k: 1 } } },
  ],
  stats: { "http.in.set_metadata.overwrite_denied": 5, "set_metadata.overwrite_denied": 1 },
};
