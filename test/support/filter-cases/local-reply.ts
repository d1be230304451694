// Cases of local_reply_config and of formatted direct responses: what the proxy's own replies look like.
import { type FilterCase, type FilterTable, get, post } from "./case.ts";

const answer = (prefix: string, status: number, body = "", more: object = {}): object => ({
  match: { prefix },
  direct_response: { status, ...(body !== "" && { body: { inline_string: body } }), ...more },
});
const header = (key: string, value: string): object => ({ header: { key, value } });
const routes = [
  answer("/ok", 200, "ok"),
  answer("/tea", 418, "tea"),
  answer("/made", 201, "made"),
  answer("/bad", 503),
  { ...answer("/headers", 418, "t"), response_headers_to_add: [header("x-a", "route")] },
  { match: { prefix: "/nowhere" }, route: { cluster_header: "x-c" } },
  { match: { prefix: "/moved" }, redirect: { path_redirect: "/x" } },
  { match: { prefix: "/origin" }, route: { cluster: "origin" } },
];
const grpc = "content-type: application/grpc";
const direct = (title: string, path: string, status: number, has: readonly string[]): FilterCase => ({
  title,
  request: get(path),
  status,
  details: "direct_response",
  has,
});
const table = (name: string, local_reply_config: object, cases: readonly FilterCase[]): FilterTable => ({
  name: `local replies: ${name}`,
  filters: [],
  routes,
  manager: { local_reply_config },
  cases,
  stats: {},
});

const text = table(
  "text",
  {
    body_format: {
      text_format_source: {
        inline_string:
          "<%LOCAL_REPLY_BODY%|%RESPONSE_CODE%|%RESPONSE_CODE_DETAILS%|%RESPONSE_FLAGS%|%REQ(:path)%|%REQ(x-none)%|%RESP(x-a)%>",
      },
      content_type: "text/html; charset=UTF-8",
    },
  },
  [
    direct("a body", "/ok", 200, ["content-type: text/html; charset=UTF-8", "<ok|200|direct_response|-|/ok|-|->"]),
    direct("no body", "/bad", 503, ["<|503|direct_response|-|/bad|-|->"]),
    direct("the route's header", "/headers", 418, ["x-a: route", "<t|418|direct_response|-|/headers|-|route>"]),
    direct("a redirect", "/moved", 301, ["location: http://a.test/x", "<|301|direct_response|-|/moved|-|->"]),
    {
      title: "no route",
      request: get("/"),
      status: 404,
      details: "route_not_found",
      flags: "NR",
      has: ["<|404|route_not_found|NR|/|-|->"],
    },
    { title: "not a reply of its own", request: get("/origin"), status: 200, details: "via_upstream", has: ["x-origin: yes"] },
    {
      title: "gRPC",
      request: post("/tea", "", grpc),
      status: 200,
      details: "direct_response",
      has: ["grpc-status: 2", "grpc-message: <tea|418|direct_response|-|/tea|-|->"],
    },
    {
      title: "what is no request",
      request: "GET / HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n",
      status: 400,
      details: "http1.codec_error",
      flags: "DPE",
      has: ["content-type: text/html; charset=UTF-8", "<Bad Request|400|http1.codec_error|-|-|-|->"],
    },
  ],
);

const json = table(
  "JSON",
  {
    body_format: {
      json_format: {
        z: "%LOCAL_REPLY_BODY%",
        code: "%RESPONSE_CODE%",
        mixed: "c %RESPONSE_CODE%",
        none: "%REQ(x-none)%",
        nest: { a: ["%PROTOCOL%", 1, true] },
      },
    },
  },
  [
    direct("types and order", "/ok", 200, [
      "content-type: application/json",
      '{"code":200,"mixed":"c 200","nest":{"a":["HTTP/1.1",1,true]},"none":null,"z":"ok"}\n',
    ]),
    {
      title: "gRPC, whose message has no line end",
      request: post("/tea", "", grpc),
      status: 200,
      details: "direct_response",
      has: ['grpc-message: {"code":418,"mixed":"c 418","nest":{"a":["HTTP/1.1",1,true]},"none":null,"z":"tea"}'],
    },
  ],
);

const status = (op: string, value: number): object => ({
  status_code_filter: { comparison: { op, value: { default_value: value, runtime_key: "x" } } },
});
const wanted = { header_filter: { header: { name: "x-want", string_match: { exact: "yes" } } } };
const mappers = table(
  "mappers",
  {
    body_format: { text_format: "B %LOCAL_REPLY_BODY% %RESPONSE_CODE%" },
    mappers: [
      { filter: { and_filter: { filters: [status("EQ", 418), wanted] } }, status_code: 451 },
      {
        filter: status("EQ", 418),
        status_code: 499,
        body: { inline_string: "mapped %RESPONSE_CODE%" },
        headers_to_add: [header("x-a", "mapper %RESPONSE_CODE%"), header("content-type", "text/x")],
      },
      {
        filter: status("EQ", 404),
        status_code: 200,
        body_format_override: { json_format: { b: "%LOCAL_REPLY_BODY%", c: "%RESPONSE_CODE%" } },
      },
      { filter: { response_flag_filter: { flags: ["NC"] } }, body: { inline_string: "nc" }, headers_to_add: [header("x-nc", "1")] },
      { filter: status("EQ", 201), status_code: 418 },
      { filter: status("EQ", 400), status_code: 444, body: { inline_string: "four" } },
    ],
  },
  [
    direct("none that matches", "/ok", 200, ["content-type: text/plain", "B ok 200"]),
    direct("status, body and headers", "/tea", 499, ["x-a: mapper 418", "content-type: text/x", "B mapped %RESPONSE_CODE% 499"]),
    direct("headers beside the route's", "/headers", 499, ["x-a: mapper 418", "x-a: route"]),
    { ...direct("the first that matches", "/tea", 451, ["B tea 451"]), request: get("/tea", "x-want: yes") },
    direct("one alone", "/made", 418, ["location: http://a.test/made", "B made 418"]),
    {
      title: "a format of its own",
      request: get("/"),
      status: 200,
      details: "route_not_found",
      flags: "NR",
      has: ["content-type: application/json", '{"b":"","c":200}\n'],
    },
    { title: "a flag", request: get("/nowhere"), status: 503, details: "cluster_not_found", flags: "NC", has: ["x-nc: 1", "B nc 503"] },
    {
      title: "the status that gRPC's follows from",
      request: post("/", "", grpc),
      status: 200,
      details: "route_not_found",
      flags: "NR",
      has: ["grpc-status: 2", 'grpc-message: {"b":"","c":200}'],
    },
    {
      title: "what is no request",
      request: "GET / HTTP/1.1\r\nhost: a\r\nbad header\r\n\r\n",
      status: 444,
      details: "http1.codec_error",
      flags: "DPE",
      has: ["B four 444"],
    },
    { title: "no host", request: "GET / HTTP/1.1\r\n\r\n", status: 444, details: "missing_host_header", has: ["B four 444"] },
  ],
);
const counted: FilterTable = { ...mappers, stats: { "http.in.downstream_rq_4xx": 6, "http.in.downstream_rq_2xx": 3 } };

const formatted: FilterTable = {
  name: "formatted direct responses",
  filters: [],
  routes: [
    answer("/json", 200, 'b"q', {
      body_format: { json_format: { b: "%LOCAL_REPLY_BODY%", p: "%REQ(:path)%", c: "%RESPONSE_CODE%", z: null } },
    }),
    answer("/typed", 200, "", { body_format: { json_format: { a: "1" }, content_type: "application/problem+json" } }),
    answer("/omit", 200, "", {
      body_format: { omit_empty_values: true, json_format: { a: "%REQ(x-none)%", b: "1", c: "%REQ(x-none)%!" } },
    }),
  ],
  cases: [
    direct("JSON, before there is a status", "/json?x", 200, [
      "content-type: application/json",
      '{"b":"b\\"q","c":0,"p":"/json?x","z":null}\n',
    ]),
    direct("a content type", "/typed", 200, ["content-type: application/problem+json", '{"a":"1"}\n']),
    direct("without empty values", "/omit", 200, ['{"b":"1","c":"!"}\n']),
  ],
  stats: {},
};

/** Formats and mappers. */
export const localReplyCases: readonly FilterTable[] = [text, json, counted, formatted];
