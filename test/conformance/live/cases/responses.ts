// What clients get of what origins say, well-formed or not.
import { type LiveCase, get, raw, request } from "../case.ts";

const words = [
  "chunked", "trailers", "until-close", "two-lengths", "length-and-chunks", "te-gzip", "bad-name", "bad-value", "bad-chunk", "bad-status",
  "extra-bytes", "no-reason", "early", "switch", "no-content", "not-modified", "reset-content", "hop", "internal", "set-cookie", "spaces", "fold",
];

export const responseCases: readonly LiveCase[] = [
  ...words.map((word) => get(`response: ${word}`, `/o/${word}`)),
  get("response: the next request after extra bytes has its own answer", "/e"),
  raw("response: HEAD with a Content-Length", request("HEAD", "/o/e")),
  raw("response: HTTP/1.0 client, chunked origin", "GET /chunked HTTP/1.0\r\n\r\n", { listener: "http10" }),
  raw("response: trailers where enabled", "GET /trailers HTTP/1.1\r\nHost: lab\r\nTE: trailers\r\n\r\n", { listener: "http10" }),
  get("response: trailers of an HTTP/2 origin are dropped", "/up/h2/x"),
  raw("response: before the request is complete", request("POST", "/up/h2/x", ["Content-Length: 6"], "abc")),
  get("response: 100 KiB through", "/o/bytes/100000"),
  get("response: 999", "/o/status/999"),
  get("response: 1000", "/o/status/1000"),
  get("internal redirect: followed once", "/ir/redirect?to=/e"),
  get("internal redirect: second one is the client's", "/ir/redirect?to=/ir/redirect?to=/e"),
  get("internal redirect: to a direct response", "/ir/redirect?to=/exact"),
  get("internal redirect: to nowhere", "/ir/redirect?to="),
  raw("internal redirect: POST with a body", request("POST", "/ir/redirect?to=/e", ["Content-Length: 3"], "abc")),
];
