// Cases of the buffer filter.
import { any, chunked, direct, filter, filterConfig, type FilterTable, get, post, request, route } from "./case.ts";

const per = (fields: object): object => ({ buffer: any("buffer.v3.BufferPerRoute", fields) });
const served = { status: 200, details: "via_upstream" };
const refused = { status: 413, details: "request_payload_too_large", has: ["connection: close", "Payload Too Large"] };

/** Limits at the edge, with and without lengths. */
export const bufferCases: FilterTable = {
  name: "buffer",
  filters: [filter("buffer", "buffer.v3.Buffer", { max_request_bytes: 10 })],
  routes: [
    route("/off", per({ disabled: true })),
    route("/five", per({ buffer: { max_request_bytes: 5 } })),
    route("/none", { buffer: filterConfig({ disabled: true }) }),
    direct("/direct", 200),
    route("/"),
  ],
  cases: [
    { title: "a body of just the limit", request: post("/limit", "0123456789"), ...served, has: ["content-length: 10", "0123456789"] },
    { title: "a byte more", request: post("/more", "0123456789a"), ...refused },
    {
      title: "chunks, which get a length",
      request: chunked("/chunks", "he", "llo"),
      ...served,
      has: ["content-length: 5", "hello"],
      lacks: ["transfer-encoding: chunked"],
    },
    { title: "too many chunks", request: chunked("/chunks", "hello ", "world!"), ...refused },
    { title: "no chunks at all", request: chunked("/empty"), ...served, has: ["content-length: 0"] },
    { title: "a request without a body", request: get("/get"), ...served, lacks: ["content-length: 0"] },
    { title: "a length of nothing", request: post("/zero", ""), ...served, has: ["content-length: 0"] },
    { title: "a route without buffering", request: chunked("/off", "hello ", "world!"), ...served, has: ["transfer-encoding: chunked"] },
    { title: "a route where the filter is off", request: post("/none", "0123456789a"), ...served },
    { title: "a route with another limit", request: post("/five", "123456"), ...refused },
    { title: "a body within it", request: chunked("/five", "hello"), ...served, has: ["content-length: 5"] },
    { title: "a route that answers by itself", request: post("/direct", "0123456789a"), ...refused },
    {
      title: "a client that has not sent everything",
      request: request("POST", "/slow", ["content-length: 20"], "0123456789abc"),
      ...refused,
    },
    {
      title: "gRPC",
      request: post("/grpc", "0123456789a", "content-type: application/grpc"),
      status: 200,
      details: refused.details,
      has: ["grpc-status: 2", "grpc-message: Payload Too Large"],
    },
  ],
  stats: { "http.in.downstream_rq_too_large": 6 },
};
