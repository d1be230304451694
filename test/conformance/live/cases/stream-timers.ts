// Streams, heads and connections that take too long: what the client sees, what is logged, what is counted.
import { type LiveCase, fields, frames, raw, request } from "../case.ts";
import { block, data, type Field, frame, headers } from "../h2-exchange.ts";
import { frameType } from "../../../../src/wire/http2/frame.ts";

const counted = (listener: string): string =>
  `^http\\.${listener}\\..*(idle_timeout|max_duration|rq_timeout|header_timeout|drain_close|rq_[2345]xx)`;
const over1 = (what: string, listener: string, send: string, options: object = {}): LiveCase =>
  raw(`timer: ${listener}, ${what}, HTTP/1`, send, { listener, counts: counted(listener), ...options });
const over2 = (what: string, listener: string, make: () => readonly Buffer[], options: object = {}): LiveCase =>
  frames(`timer: ${listener}, ${what}, HTTP/2`, make, { listener, counts: counted(listener), ...options });
const post = (path: string, ...more: readonly Field[]): readonly Field[] =>
  fields(path, ...more).map(([key, value]) => [key, key === ":method" ? "POST" : value] as const);
const grpc: readonly Field[] = [
  ["content-type", "application/grpc"],
  ["te", "trailers"],
];

const streams = ["timer-idle", "timer-duration", "timer-request"].flatMap((listener) => [
  over1("no answer", listener, request("GET", "/silent"), { records: listener === "timer-request" ? 0 : 1 }),
  over2("no answer", listener, () => [headers(1, fields("/silent"))], { records: listener === "timer-request" ? 0 : 1 }),
  over1("body stops", listener, request("POST", "/e", ["Content-Length: 5"], "ab")),
  over2("body stops", listener, () => [headers(1, post("/e"), false), data(1, "ab", false)]),
  over2("no body comes", listener, () => [headers(1, post("/e"), false)]),
  over2("no answer for gRPC", listener, () => [headers(1, post("/silent", ...grpc), false), data(1, "\0\0\0\0\0", false)]),
  over2("two streams", listener, () => [headers(1, post("/e"), false), headers(3, fields("/e"))], { replies: 2, records: 2 }),
]);

export const streamTimerCases: readonly LiveCase[] = [
  ...streams,
  over2("longer by its route", "timer-idle", () => [headers(1, fields("/longer"))]),
  over2("shorter by its route", "timer-duration", () => [headers(1, fields("/own"))]),
  over1("longer by its route", "timer-idle", request("GET", "/longer")),
  over1("shorter by its route", "timer-duration", request("GET", "/own")),
  over1("head stops", "timer-head", "GET /e HTTP/1.1\r\nHost: la"),
  over2("head stops before CONTINUATION", "timer-head", () => [frame(frameType.headers, 1, 1, block(fields("/e")))], { records: 1 }),
  over2("nothing is sent", "timer-head", () => [], { records: 0 }),
  over2(
    "head stops, another stream under way",
    "timer-head",
    () => [headers(1, fields("/e")), frame(frameType.headers, 1, 3, block(fields("/e")))],
    { records: 2, replies: 2 },
  ),
  over1("idle after an answer", "timer-connection", request("GET", "/e"), { replies: 2 }),
  over2("idle after an answer", "timer-connection", () => [headers(1, fields("/e"))], { replies: 2 }),
  over1("nothing is sent", "timer-connection", "", { records: 0 }),
  over2("nothing is sent", "timer-connection", () => [], { records: 0 }),
  over2("stream under way", "timer-connection", () => [headers(1, fields("/silent"))], { records: 0 }),
  over2("nothing is sent", "timer-connection-idle", () => [], { records: 0 }),
  over2("idle after an answer", "timer-connection-idle", () => [headers(1, fields("/e"))], { replies: 2 }),
];
