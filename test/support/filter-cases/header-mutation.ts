// Cases of the filter that changes headers.
import { any, direct, filter, filterConfig, type FilterTable, get, route } from "./case.ts";

const append = (key: string, value: string, action?: string, more: object = {}): object => ({
  append: { header: { key, value }, ...(action === undefined ? {} : { append_action: action }), ...more },
});
const parameter = (key: string, value: string, action?: string): object => ({
  append: { record: { key, value }, ...(action === undefined ? {} : { action }) },
});
const per = (mutations: object): object => ({ hm: any("header_mutation.v3.HeaderMutationPerRoute", { mutations }) });
const level = (name: string): object =>
  per({
    request_mutations: [append("x-order", name), append("x-who", name, "OVERWRITE_IF_EXISTS_OR_ADD")],
    response_mutations: [append("x-order", name), append("x-who", name, "OVERWRITE_IF_EXISTS_OR_ADD")],
  });
const served = { status: 200, details: "via_upstream" };
const mutations = {
  request_mutations: [
    { remove: "X-Gone" },
    append("x-a", "1"),
    append("x-a", "2"),
    append("x-b", "if", "ADD_IF_ABSENT"),
    append("x-c", "over", "OVERWRITE_IF_EXISTS"),
    append("x-d", "set", "OVERWRITE_IF_EXISTS_OR_ADD"),
    append("x-e", ""),
    append("x-f", "", undefined, { keep_empty_value: true }),
    append("x-quote", "%REQ(x-d)% %REQ(:METHOD)% %REQ(none)% %PROTOCOL%"),
    { remove_on_match: { key_matcher: { prefix: "x-rm-" } } },
  ],
  response_mutations: [append("x-resp", "%RESPONSE_CODE% %REQ(x-a)% %RESP(x-origin)%"), { remove: "x-origin" }, append("x-who", "filter")],
};

const levels = (wins: boolean): FilterTable => ({
  name: `levels of header_mutation, ${wins ? "the most" : "the least"} specific last`,
  filters: [filter("hm", "header_mutation.v3.HeaderMutation", { most_specific_header_mutations_wins: wins })],
  routes: [route("/route", level("route")), route("/off", { hm: filterConfig({ disabled: true }) }), route("/")],
  virtualHost: { typed_per_filter_config: level("host") },
  routeConfig: { typed_per_filter_config: level("config") },
  cases: [
    { title: "takes every level in turn", request: get("/route"), ...served, has: [`x-who: ${wins ? "route" : "config"}`] },
    { title: "takes the levels that there are", request: get("/"), ...served, has: [`x-who: ${wins ? "host" : "config"}`] },
    { title: "does nothing where a route switches it off", request: get("/off"), ...served, lacks: ["x-order: host"] },
  ],
  stats: {},
});

/** Every action, on requests, responses and local replies. */
export const headerMutationCases: readonly FilterTable[] = [
  {
    name: "header_mutation",
    filters: [filter("hm", "header_mutation.v3.HeaderMutation", { mutations })],
    routes: [
      direct("/direct", 404, per({ response_mutations: [append("x-route", "direct")] })),
      route("/type", per({ response_mutations: [append("location", "%REQ(:PATH)%"), { remove: "x-who" }] })),
      route("/off", { hm: filterConfig({ disabled: true }) }),
      route("/"),
    ],
    cases: [
      {
        title: "changes what is there",
        request: get("/a", "x-gone: 1", "x-a: 0", "x-b: keep", "x-c: old", "x-d: old", "x-rm-1: a", "X-Rm-2: b"),
        ...served,
        has: [
          "x-a: 0",
          "x-a: 1",
          "x-a: 2",
          "x-b: keep",
          "x-c: over",
          "x-d: set",
          "x-f: ",
          "x-quote: set GET  HTTP/1.1",
          "x-resp: 200 0 yes",
          "x-who: filter",
        ],
        lacks: ["x-gone: 1", "x-e: ", "x-rm-1: a", "x-rm-2: b", "x-origin: yes"],
      },
      { title: "adds what is not", request: get("/b"), ...served, has: ["x-b: if", "x-d: set"], lacks: ["x-c: over"] },
      {
        title: "changes local replies",
        request: get("/direct"),
        status: 404,
        details: "direct_response",
        has: ["x-resp: 404 1 ", "x-route: direct"],
      },
      {
        title: "goes on with what the filter has done",
        request: get("/type"),
        ...served,
        has: ["location: /type"],
        lacks: ["x-who: filter"],
      },
      { title: "is off where a route says so", request: get("/off"), ...served, has: ["x-origin: yes"], lacks: ["x-who: filter"] },
    ],
    stats: {},
  },
  {
    name: "header_mutation of queries",
    filters: [
      filter("hm", "header_mutation.v3.HeaderMutation", {
        mutations: {
          query_parameter_mutations: [
            parameter("q", "new %REQ(x-a)%"),
            { remove: "drop" },
            parameter("over", "o", "OVERWRITE_IF_EXISTS"),
            parameter("set", "&=", "OVERWRITE_IF_EXISTS_OR_ADD"),
            parameter("abs", "o", "ADD_IF_ABSENT"),
          ],
        },
      }),
    ],
    routes: [route("/")],
    cases: [
      {
        title: "changes parameters",
        request: get("/a?drop=1&over=2&keep=y&drop=3&set=1&set=2", "x-a: 0"),
        ...served,
        has: ["GET /a?abs=o&keep=y&over=o&q=new%200&set=%26%3D HTTP/1.1"],
      },
      { title: "adds to an empty query", request: get("/a?"), ...served, has: ["GET /a?abs=o&q=new%20&set=%26%3D HTTP/1.1"] },
      { title: "adds a query", request: get("/b"), ...served },
      { title: "keeps what is there", request: get("/b?abs=1&q=2"), ...served, has: ["GET /b?abs=1&q=2&q=new%20&set=%26%3D HTTP/1.1"] },
    ],
    stats: {},
  },
  levels(false),
  levels(true),
];
