// HTTP/2 framing and the validity of header fields.
import { type LiveCase, fields, frames } from "../case.ts";
import { block, data, type Field, flags, frame, headers } from "../h2-exchange.ts";
import { frameType } from "../../../../src/wire/http2/frame.ts";

const h2 = (name: string, make: () => readonly Buffer[], options: object = {}): LiveCase =>
  frames(`http2: ${name}`, make, { listener: "http2", ...options });
const get = (name: string, path: string, ...more: readonly Field[]): LiveCase => h2(name, () => [headers(1, fields(path, ...more))]);
const bad = (name: string, list: readonly Field[]): LiveCase => h2(name, () => [headers(1, list)]);

const base = fields("/exact");
const without = (name: string): readonly Field[] => base.filter(([key]) => key !== name);
const replaced = (name: string, value: string): readonly Field[] => base.map(([key, old]) => [key, key === name ? value : old] as const);
const post = fields("/e").map(([key, value]) => [key, key === ":method" ? "POST" : value] as const);
const websocket: readonly Field[] = [
  [":method", "CONNECT"],
  [":protocol", "websocket"],
  [":scheme", "http"],
  [":path", "/ws/websocket"],
  [":authority", "lab"],
];

export const http2Cases: readonly LiveCase[] = [
  get("a request and its answer", "/e", ["x-a", "1"], ["cookie", "a=1"], ["cookie", "b=2"], ["te", "trailers"]),
  h2("body with its length", () => [headers(1, [...post, ["content-length", "5"]], false), data(1, "hello")]),
  h2("body without a length", () => [headers(1, post, false), data(1, "hel", false), data(1, "lo")]),
  h2("longer body than announced", () => [headers(1, [...post, ["content-length", "3"]], false), data(1, "hello")]),
  h2("shorter body than announced", () => [headers(1, [...post, ["content-length", "9"]], false), data(1, "hello")]),
  h2("content-length without a body", () => [headers(1, [...post, ["content-length", "5"]])]),
  h2("two content-lengths", () => [headers(1, [...post, ["content-length", "5"], ["content-length", "5"]], false), data(1, "hello")]),
  h2("content-length that is no number", () => [headers(1, [...post, ["content-length", "5x"]], false), data(1, "hello")]),
  h2("trailers", () => [headers(1, post, false), data(1, "x", false), headers(1, [["x-t", "v"]])]),
  h2("trailers with a pseudo-header", () => [headers(1, post, false), data(1, "x", false), headers(1, [[":path", "/x"]])]),
  h2("padding", () => [
    frame(frameType.headers, 0x8 | flags.endHeaders | flags.endStream, 1, Buffer.concat([Buffer.from([3]), block(base), Buffer.alloc(3)])),
  ]),
  h2("CONTINUATION", () => {
    const whole = block(fields("/e", ["x-long", "v".repeat(50)]));
    return [
      frame(frameType.headers, flags.endStream, 1, whole.subarray(0, 10)),
      frame(frameType.continuation, flags.endHeaders, 1, whole.subarray(10)),
    ];
  }),
  h2(
    "a frame between HEADERS and CONTINUATION",
    () => [frame(frameType.headers, flags.endStream, 1, block(base)), frame(frameType.ping, 0, 0, Buffer.alloc(8))],
    { records: 0 },
  ),
  h2("DATA on an idle stream", () => [data(1, "x")], { records: 0 }),
  h2("HEADERS on stream 2", () => [headers(2, base)], { records: 0 }),
  h2("a lower stream after a higher one", () => [headers(5, base), headers(3, base)], { replies: 2 }),
  h2("HEADERS on a stream that has ended", () => [headers(1, base), headers(1, base)], { replies: 2 }),
  h2("DATA after the end of a stream", () => [headers(1, post), data(1, "x")], { replies: 2 }),
  h2("a frame larger than allowed", () => [headers(1, post, false), data(1, "x".repeat(16_385))]),
  h2(
    "RST_STREAM by the client",
    () => [headers(1, fields("/to/idle")), frame(frameType.rstStream, 0, 1, Buffer.from([0, 0, 0, 8])), headers(3, base)],
    { records: 2 },
  ),
  h2("WINDOW_UPDATE of 0 on a stream", () => [headers(1, post, false), frame(frameType.windowUpdate, 0, 1, Buffer.alloc(4))]),
  h2("SETTINGS with an invalid value", () => [frame(frameType.settings, 0, 0, Buffer.from([0, 2, 0, 0, 0, 2]))], { records: 0 }),
  h2("PUSH_PROMISE by a client", () => [frame(5, flags.endHeaders, 1, Buffer.concat([Buffer.from([0, 0, 0, 2]), block(base)]))], {
    records: 0,
  }),
  h2("unknown frame type", () => [frame(0x42, 0, 0, Buffer.from("x")), headers(1, base)]),
  h2("broken HPACK", () => [frame(frameType.headers, 5, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff]))], { records: 0 }),
  h2("more streams than allowed", () => [1, 3, 5, 7].map((id) => headers(id, fields("/to/route"))), { replies: 4, records: 4 }),
  bad("upper-case name", [...base, ["X-A", "1"]]),
  bad("name with a space", [...base, ["x a", "1"]]),
  bad("empty name", [...base, ["", "1"]]),
  bad("NUL in a value", [...base, ["x-a", "a\0b"]]),
  bad("LF in a value", [...base, ["x-a", "a\nx-b: c"]]),
  bad("CR in a value", [...base, ["x-a", "a\rb"]]),
  bad("space around a value", [...base, ["x-a", " v "]]),
  bad("connection", [...base, ["connection", "close"]]),
  bad("keep-alive", [...base, ["keep-alive", "1"]]),
  bad("transfer-encoding", [...base, ["transfer-encoding", "chunked"]]),
  bad("upgrade", [...base, ["upgrade", "h2c"]]),
  bad("te other than trailers", [...base, ["te", "gzip"]]),
  bad("host beside authority", [...fields("/e"), ["host", "other"]]),
  bad("host instead of authority", [...without(":authority"), ["host", "lab"]]),
  bad("neither host nor authority", without(":authority")),
  bad("no method", without(":method")),
  bad("no path", without(":path")),
  bad("no scheme", without(":scheme")),
  bad("empty path", replaced(":path", "")),
  bad("path without a slash", replaced(":path", "exact")),
  bad("path *", replaced(":path", "*")),
  bad("path with a space", replaced(":path", "/a b")),
  bad("path with a line break", replaced(":path", "/a\r\nx: y")),
  bad("absolute path", replaced(":path", "http://lab/exact")),
  bad("method with a space", replaced(":method", "GET /admin HTTP/1.1")),
  bad("empty method", replaced(":method", "")),
  bad("unknown method", replaced(":method", "FROB")),
  bad("unknown scheme", replaced(":scheme", "ftp")),
  bad("https in clear text", replaced(":scheme", "https")),
  bad("two paths", [...base, [":path", "/x"]]),
  bad("unknown pseudo-header", [[":foo", "x"], ...base]),
  bad("pseudo-header behind a header", [...without(":path"), ["x-a", "1"], [":path", "/e"]]),
  bad("response pseudo-header", [[":status", "200"], ...base]),
  bad("authority with a user", replaced(":authority", "u@lab")),
  bad("authority with a slash", replaced(":authority", "lab/x")),
  bad("authority in capitals", replaced(":authority", "LAB")),
  bad("CONNECT without a route for it", [
    [":method", "CONNECT"],
    [":authority", "lab:80"],
  ]),
  bad("CONNECT with a path", [
    [":method", "CONNECT"],
    [":authority", "lab"],
    [":path", "/x"],
  ]),
  h2("extended CONNECT for websocket", () => [headers(1, websocket, false), data(1, "ping", false)]),
  h2("extended CONNECT for a protocol nobody allowed", () => [
    headers(
      1,
      websocket.map(([key, value]) => [key, key === ":protocol" ? "foo" : value] as const),
    ),
  ]),
  bad("101 headers", [...base, ...Array.from({ length: 98 }, (_, index) => [`x-${index}`, "v"] as const)]),
  bad("61 KiB of headers", [...base, ...Array.from({ length: 4 }, (_, index) => [`x-${index}`, "v".repeat(15_600)] as const)]),
  get("rewritten and retried", "/re/5xx/flaky/503/1"),
  get("no such host", "/exact", ["host", "lab"]),
  get("redirect", "/rd/host-port"),
  get("route timeout", "/to/route"),
  get("origin closes", "/o/close"),
  get("origin answers until it closes", "/o/until-close"),
  get("bad chunk of the origin behind the head", "/o/bad-chunk"),
  get("hop-by-hop fields of the origin", "/o/hop"),
  get("early hints of the origin", "/o/early"),
  get("trailers of an HTTP/2 origin", "/up/h2/x"),
  h2("prior knowledge at a listener for both", () => [headers(1, fields("/e"))], { listener: "main" }),
  h2("max_requests_per_connection 2", () => [headers(1, fields("/e")), headers(3, fields("/e")), headers(5, fields("/e"))], {
    listener: "edge",
    replies: 3,
    records: 2,
  }),
  h2("underscore refused", () => [headers(1, fields("/e", ["x_a", "1"]))], { listener: "reject" }),
];
