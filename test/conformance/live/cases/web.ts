// gRPC-Web, CORS in every form, faults by percentage; and what upstreams get of names.
import { type LiveCase, fields, frames, raw, request } from "../case.ts";
import { data, type Field, headers } from "../h2-exchange.ts";

type Lines = readonly string[];

const message = "\0\0\0\0\x03abc";
const base64 = Buffer.from(message, "latin1").toString("base64");
const call = (name: string, type: string, body: string, lines: Lines = [], target = "/framed"): LiveCase =>
  raw(`grpc_web: ${name}`, request("POST", target, [`Content-Type: ${type}`, `Content-Length: ${body.length}`, ...lines], body), {
    listener: "grpc-web",
  });
const text = "application/grpc-web-text";

const cors = (what: string, target: string, lines: Lines, method = "GET", host = "lab"): LiveCase =>
  raw(`cors: ${what}`, request(method, target, lines).replace("Host: lab", `Host: ${host}`), {
    listener: "cors",
    counts: "^http\\.cors\\.cors",
  });
const preflightLines = (origin: string, more: Lines = []): Lines => [`Origin: ${origin}`, "Access-Control-Request-Method: PUT", ...more];
const preflight = (what: string, target: string, origin: string, more: Lines = [], host = "lab"): LiveCase =>
  cors(`preflight, ${what}`, target, preflightLines(origin, more), "OPTIONS", host);
const privateNetwork = ["Access-Control-Request-Private-Network: true"];

const faulty = (what: string, target: string, lines: Lines = []): LiveCase =>
  raw(`fault: ${what}`, request("GET", target, lines), { listener: "faults", counts: "^http\\.faults\\.fault" });
const grpc = ["Content-Type: application/grpc"];

const named = (what: string, target: string, lines: Lines): LiveCase =>
  raw(`upstream names: ${what}`, request("GET", target, lines), { listener: "upstream-names" });
const post = (...more: readonly Field[]): readonly Field[] =>
  fields("/e", ...more).map(([key, value]) => [key, key === ":method" ? "POST" : value] as const);
const swapped = (name: string, value: string, path = "/e"): readonly Field[] =>
  fields(path).map(([key, old]) => [key, key === name ? value : old] as const);

export const webCases: readonly LiveCase[] = [
  call("binary", "application/grpc-web", message),
  call("binary with proto", "application/grpc-web+proto", message),
  call("binary, Accept of binary", "application/grpc-web+proto", message, ["Accept: application/grpc-web+proto"]),
  call("binary, Accept of text", "application/grpc-web", message, [`Accept: ${text}`]),
  call("text without Accept", text, base64),
  call("text, Accept of text", text, base64, [`Accept: ${text}`]),
  call("text with proto, Accept of it", `${text}+proto`, base64, [`Accept: ${text}+proto`]),
  call("text, Accept of several", text, base64, [`Accept: ${text}, */*`]),
  call("text that is padded in the middle", text, Buffer.from("\0\0\0\0").toString("base64") + Buffer.from("\x03abc").toString("base64"), [
    `Accept: ${text}`,
  ]),
  call("text of a wrong length", text, base64.slice(0, -1)),
  call("text that is no base64", text, "!!!!"),
  call("type with a parameter", "application/grpc-web; charset=utf-8", message),
  call("type with another suffix", "application/grpc-web+json", message),
  call("type in capitals", "Application/Grpc-Web", message),
  call("gRPC itself", "application/grpc", message),
  call("grpc-accept-encoding of one's own", "application/grpc-web", message, ["grpc-accept-encoding: gzip"]),
  call("trailers only", "application/grpc-web", message, [], "/trailers-only"),
  call("trailers only, text", text, base64, [`Accept: ${text}`], "/trailers-only"),
  call("origin resets", "application/grpc-web", message, [], "/rst"),
  call("origin without gRPC", "application/grpc-web", message, [], "/h1/as?size=7"),
  call("origin without gRPC, text", text, base64, [`Accept: ${text}`], "/h1/as?size=7"),
  call("origin without gRPC and without a body", "application/grpc-web", message, [], "/h1/as?size=0"),
  call("origin without gRPC, 404", "application/grpc-web", message, [], "/h1/as?size=7&status=404"),
  call("origin without gRPC, 503 in chunks", "application/grpc-web", message, [], "/h1/as?size=7&status=503&chunked=1"),
  call("origin's gRPC status by HTTP/1", "application/grpc-web", message, [], "/h1/grpc"),
  call("origin closes", "application/grpc-web", message, [], "/h1/close"),
  raw("grpc_web: GET", request("GET", "/s/M", ["Content-Type: application/grpc-web"]), { listener: "grpc-web" }),

  ...[
    "https://a",
    "https://pre.x",
    "http://x.ok.test",
    "https://r1",
    "https://r1.evil",
    "https://A",
    "null",
    "*",
    "https://a, https://b",
  ].flatMap((origin) => [cors(`simple, ${origin}`, "/full/e", [`Origin: ${origin}`]), preflight(origin, "/full/e", origin)]),
  cors("simple without Origin", "/full/e", []),
  cors("simple with an empty Origin", "/full/e", ["Origin:"]),
  cors("simple with two Origins", "/full/e", ["Origin: https://a", "Origin: https://b"]),
  cors(
    "simple, the origin's own fields",
    "/full/as?access-control-allow-origin=x&access-control-expose-headers=y&access-control-max-age=1&vary=z",
    ["Origin: https://a"],
  ),
  cors("simple, the origin's own fields, origin not allowed", "/full/as?access-control-allow-origin=x", ["Origin: https://bad"]),
  cors("simple, an error", "/full/as?status=500", ["Origin: https://a"]),
  cors("simple, a local reply", "/full/close", ["Origin: https://a"]),
  cors("OPTIONS without a method asked for", "/full/e", ["Origin: https://a"], "OPTIONS"),
  cors("OPTIONS with an empty method asked for", "/full/e", ["Origin: https://a", "Access-Control-Request-Method:"], "OPTIONS"),
  cors("OPTIONS without Origin", "/full/e", ["Access-Control-Request-Method: PUT"], "OPTIONS"),
  cors("GET that asks like a preflight", "/full/e", preflightLines("https://a")),
  preflight("headers asked for", "/full/e", "https://a", ["Access-Control-Request-Headers: x-z"]),
  preflight("stars", "/stars/e", "https://any", ["Access-Control-Request-Headers: x-z, x-y"]),
  preflight("stars, no headers asked for", "/stars/e", "https://any"),
  preflight("stars with credentials", "/stars-credentials/e", "https://any", ["Access-Control-Request-Headers: x-z"]),
  cors("simple, stars", "/stars/e", ["Origin: https://any"]),
  cors("simple, stars with credentials", "/stars-credentials/e", ["Origin: https://any"]),
  preflight("a bare policy", "/bare/e", "https://a", ["Access-Control-Request-Headers: x-z"]),
  cors("simple, a bare policy", "/bare/e", ["Origin: https://a"]),
  ...["/private/e", "/no-private/e", "/bare/e"].flatMap((target) => [
    preflight(`private network, ${target}`, target, "https://a", privateNetwork),
    preflight(`private network in other words, ${target}`, target, "https://a", ["Access-Control-Request-Private-Network: True"]),
    cors(`simple, private network, ${target}`, target, ["Origin: https://a", ...privateNetwork]),
  ]),
  preflight("private network, origin not allowed", "/private/e", "https://bad", privateNetwork),
  ...["off", "shadow", "both", "stop", "pass", "nobody", "insensitive"].flatMap((route) =>
    ["https://a", "https://A"].flatMap((origin) => [
      preflight(`${route}, ${origin}`, `/${route}/e`, origin),
      cors(`simple, ${route}, ${origin}`, `/${route}/e`, [`Origin: ${origin}`]),
    ]),
  ),
  preflight("no policy", "/e", "https://a"),
  preflight("the host's policy", "/e", "https://host", [], "host"),
  preflight("the route's policy instead of the host's", "/route/e", "https://host", [], "host"),
  preflight("the route's policy", "/route/e", "https://route", [], "host"),
  cors("simple, the host's policy", "/e", ["Origin: https://host"], "GET", "host"),

  faulty("0 %", "/never/e"),
  faulty("100 %", "/always/e"),
  faulty("a million of a million", "/million/e"),
  faulty("200 %", "/over/e"),
  faulty("delay", "/delay/e"),
  faulty("delay, then abort", "/delay-abort/e"),
  faulty("delay, abort 0 %", "/delay-only/e"),
  faulty("abort of gRPC", "/always/e", grpc),
  faulty("delay, then abort, of gRPC", "/delay-abort/e", grpc),
  faulty("gRPC status", "/grpc/e"),
  faulty("gRPC status of gRPC", "/grpc/e", grpc),
  faulty("gRPC status 0 of gRPC", "/grpc-ok/e", grpc),
  faulty("gRPC status 99 of gRPC", "/grpc-high/e", grpc),
  faulty("for the cluster", "/cluster/e"),
  faulty("for another cluster", "/other-cluster/e"),
  faulty("none may be active", "/none-active/e"),
  faulty("for a node", "/nodes/e", ["x-envoy-downstream-service-node: n"]),
  faulty("for another node", "/nodes/e", ["x-envoy-downstream-service-node: m"]),
  raw("fault: abort with a body under way", request("POST", "/always/e", ["Content-Length: 5"], "hello"), { listener: "faults" }),

  named("proper case after those that came", "/proper/e", ["x-custom-name: v", "X-Other: w", "x_under-score: u"]),
  named("as they came", "/kept/e", ["x-Custom-NAME: v", "X-Other: w", "uSER-agent: u"]),
  named("as they came, of a plain upstream", "/e", ["x-Custom-NAME: v"]),
  raw("upstream names: proper case", request("GET", "/proper/e", ["x-custom-name: v", "X-Other: w", "x_under-score: u", "x--y: z"]), {
    listener: "web-names",
  }),
  named("the origin's, as they came", "/kept/as?x-Custom-NAME=v&X-Other=w", []),
  named("the origin's, of a plain upstream", "/as?x-Custom-NAME=v", []),
  raw("response: 204 with a body", request("GET", "/o/as?status=204&size=3")),
  raw("response: 204 with a body in chunks", request("GET", "/o/as?status=204&size=3&chunked=1")),
  raw("response: 304 with a body", request("GET", "/o/as?status=304&size=3")),
  raw("response: the next request after a 204 with a body", request("GET", "/o/as?status=204&size=3") + request("GET", "/e"), {
    replies: 2,
    records: 2,
  }),
  frames("http2: 204 with a body", () => [headers(1, fields("/o/as?status=204&size=3"))], { listener: "http2" }),
  ...["http", "https", "HTTPS"].map((scheme) =>
    frames(`http2: scheme ${scheme} towards an HTTP/2 origin`, () => [headers(1, swapped(":scheme", scheme, "/h2/e"))], {
      listener: "upstream-names",
    }),
  ),
  raw("header: x-forwarded-proto towards an HTTP/2 origin", request("GET", "/h2/e", ["x-forwarded-proto: https"]), {
    listener: "upstream-names",
  }),
  ...["/caf\xe9", "/caf\xc3\xa9?\xff", "/o/e?\x80"].flatMap((path) => [
    frames(`http2: path ${encodeURI(path)} in bytes`, () => [headers(1, fields(path))], { listener: "http2" }),
    raw(`path: ${encodeURI(path)} in bytes`, request("GET", path)),
  ]),
  frames("http2: underscore in trailers refused", () => [headers(1, post(), false), data(1, "x", false), headers(1, [["x_t", "v"]])], {
    listener: "reject",
    counts: "^http\\.reject\\..*underscore",
  }),
  frames("http2: underscore in trailers dropped", () => [headers(1, post(), false), data(1, "x", false), headers(1, [["x_t", "v"]])], {
    listener: "edge",
    counts: "^http\\.edge\\..*underscore",
  }),
  ...["reject", "edge"].map((listener) =>
    raw(
      `header: underscore in trailers at ${listener}`,
      request("POST", "/e", ["Transfer-Encoding: chunked"], "1\r\na\r\n0\r\nx_t: v\r\n\r\n"),
      { listener },
    ),
  ),
  ...["main", "edge"].flatMap((listener) =>
    [
      ["a client's trace", ["X-Client-Trace-Id: t"]],
      ["a client's trace with an id", ["X-Client-Trace-Id: t", "X-Request-Id: mine"]],
      ["a forced trace", ["X-Envoy-Force-Trace: true"]],
      ["a forced trace with an id", ["X-Envoy-Force-Trace: true", "X-Request-Id: 00000000-0000-4000-8000-000000000000"]],
      ["a forced trace of an internal client", ["X-Envoy-Force-Trace: true", "X-Forwarded-For: 10.0.0.1"]],
      ["both of an internal client", ["X-Envoy-Force-Trace: 1", "X-Client-Trace-Id: t", "X-Forwarded-For: 10.0.0.1", "X-Request-Id: mine"]],
      ["an id of the form without a trace", ["X-Request-Id: 12345678-1234-9234-8234-123456789012"]],
    ].map(([what, lines]) => raw(`request id: ${what as string} at ${listener}`, request("GET", "/o/e", lines as Lines), { listener })),
  ),
];
