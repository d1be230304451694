// The compressor and the decompressor: who gets which coding, and what becomes of the fields beside it.
import { gzipSync } from "node:zlib";
import { type LiveCase, raw, request } from "../case.ts";

type Lines = readonly string[];
const asked = (name: string, listener: string, target: string, lines: Lines = ["Accept-Encoding: gzip"], method = "GET"): LiveCase =>
  raw(`compress: ${name}`, request(method, target, lines), {
    listener,
    counts: `^http\\.${listener}\\.compressor.*(?<!total_compressed_bytes)$`,
  });
const accepting = (accept: string, listener = "gzip"): LiveCase =>
  asked(`${listener}, Accept-Encoding: ${accept}`, listener, "/as", [`Accept-Encoding:${accept === "" ? "" : ` ${accept}`}`]);
const answer = (name: string, query: string, listener = "gzip"): LiveCase => asked(`${listener}, ${name}`, listener, `/as?${query}`);

const codings: Lines = [
  "gzip", "GZIP", "gzip;q=0", "gzip;q=0.001", "gzip;q=1.5", "gzip;q=x", "gzip;Q=0.5", "gzip ; q=0.5", "gzip;level=9", "gzip;q=0.5;x=y", "x-gzip", "deflate", "*", "*;q=0", "gzip;q=0, *", "gzip;q=0, identity",
  "*, gzip;q=0", "identity", "identity;q=0", "identity, gzip", "identity;q=0.5, gzip;q=1", "identity;q=1, gzip;q=0.5", "gzip, identity", "deflate, gzip;q=1.0, *;q=0.5", "", ",", "gzip,", ";q=1", "gzip;q=",
]; // prettier-ignore

const packed = (text: string): string => gzipSync(text).toString("latin1");
const sends = (name: string, body: string, lines: Lines, listener = "gunzip", target = "/e"): LiveCase =>
  raw(`decompress: ${name}`, request("POST", target, [`Content-Length: ${body.length}`, ...lines], body), {
    listener,
    counts: `^http\\.${listener}\\.decompressor`,
  });
const gets = (name: string, query: string, lines: Lines = [], listener = "gunzip", method = "GET"): LiveCase =>
  raw(`decompress: ${name}`, request(method, `/as?${query}`, lines), { listener, counts: `^http\\.${listener}\\.decompressor` });

export const compressionCases: readonly LiveCase[] = [
  ...codings.map((accept) => accepting(accept)),
  asked("no Accept-Encoding", "gzip", "/as", []),
  asked("two Accept-Encoding", "gzip", "/as", ["Accept-Encoding: deflate", "Accept-Encoding: gzip"]),
  ...["gzip, br", "br, gzip", "gzip;q=0.5, br", "br;q=0.5, gzip", "*", "br;q=0, *", "gzip;q=0, *", "gzip;q=0, identity", "br"].flatMap(
    (accept) => [accepting(accept, "gzip-brotli"), accepting(accept, "brotli-first")],
  ),
  asked("what the origin is told", "gzip", "/e"),
  asked("what the origin is told where it is removed", "gzip-strict", "/e"),
  asked("HEAD", "gzip", "/as", undefined, "HEAD"),
  asked("route without it", "gzip", "/off/as"),
  asked("route that keeps Accept-Encoding", "gzip-strict", "/keep/e"),
  asked("HTTP/1.0", "gzip", "/as", ["Accept-Encoding: gzip", "Connection: close"]),
  ...["gzip", "gzip-told", "gzip-strict"].flatMap((listener) => [
    answer("29 bytes", "size=29", listener),
    answer("30 bytes", "size=30", listener),
    answer("50 bytes of HTML", "size=50&content-type=text/html", listener),
    answer("no length", "chunked=1&size=5&content-type=text/html", listener),
    answer("strong ETag", "etag=%22x%22&content-type=text/html", listener),
    answer("weak ETag", "etag=W/%22x%22&content-type=text/html", listener),
    answer("weak ETag in lower case", "etag=w/%22x%22&content-type=text/html", listener),
    answer("ETag without quotes", "etag=x&content-type=text/html", listener),
    answer("Vary: Accept-Encoding", "vary=Accept-Encoding&content-type=text/html", listener),
    answer("Vary: accept-encoding, x", "vary=accept-encoding,%20x&content-type=text/html", listener),
    answer("Vary: *", "vary=*&content-type=text/html", listener),
    answer("two Vary, one of which names it", "vary=x&vary=Accept-Encoding&content-type=text/html", listener),
    answer("two Vary", "vary=x&vary=y&content-type=text/html", listener),
    answer("no Content-Type", "content-type=", listener),
    answer("Content-Type with parameters", "content-type=text/html;%20charset=utf-8", listener),
    answer("Content-Type in capitals", "content-type=TEXT/HTML", listener),
    answer("an image", "content-type=image/png", listener),
    answer("a type of one's own", "content-type=application/x", listener),
    answer("coded already", "coded=1&content-encoding=gzip&content-type=text/html", listener),
    answer("coded as identity", "content-encoding=identity&content-type=text/html", listener),
    answer("no-transform", "cache-control=private,%20no-transform&content-type=text/html", listener),
    answer("Cache-Control that says something else", "cache-control=no-cache&content-type=text/html", listener),
    answer("204", "status=204&size=0&content-type=text/html", listener),
    answer("304", "status=304&size=0&etag=%22x%22&content-type=text/html", listener),
    answer("206", "status=206&content-range=bytes%200-99/200&content-type=text/html", listener),
    answer("404", "status=404&content-type=text/html", listener),
    answer("500", "status=500&content-type=text/html", listener),
    answer("Accept-Ranges", "accept-ranges=bytes&content-type=text/html", listener),
    answer("Content-MD5 and digest", "content-md5=x&digest=y&content-type=text/html", listener),
  ]),
  asked("a local reply", "gzip", "/close"),
  raw("compress: a request's body", request("POST", "/e", ["Content-Length: 40"], "a".repeat(40)), { listener: "gzip" }),
  ...[
    ["a short one", ["Content-Length: 3"], "abc"],
    ["one that is coded", ["Content-Length: 40", "Content-Encoding: br"], "a".repeat(40)],
    ["one of another type", ["Content-Length: 40", "Content-Type: image/png"], "a".repeat(40)],
  ].map(([name, lines, body]) =>
    raw(`compress: requests, ${name as string}`, request("POST", "/e", lines as Lines, body as string), {
      listener: "gzip-requests",
      counts: "^http.gzip-requests.compressor.*request.*(not_compressed|compressed|small)$",
    }),
  ),
  sends("a body", packed("hello"), ["Content-Encoding: gzip"]),
  sends("a body, coding in capitals", packed("hello"), ["Content-Encoding: GZIP"]),
  sends("a body coded twice", gzipSync(gzipSync("hello")).toString("latin1"), ["Content-Encoding: gzip, gzip"]),
  sends("a body coded by another and gzip", packed("hello"), ["Content-Encoding: br, gzip"]),
  sends("a body coded by gzip and another", packed("hello"), ["Content-Encoding: gzip, br"]),
  sends("a body of x-gzip", packed("hello"), ["Content-Encoding: x-gzip"]),
  sends("a body of identity", "hello", ["Content-Encoding: identity"]),
  sends("a body without a coding", "hello", []),
  sends("a body that must not be changed", packed("hello"), ["Content-Encoding: gzip", "Cache-Control: no-transform"]),
  sends(
    "a body that must not be changed, where that is ignored",
    packed("hello"),
    ["Content-Encoding: gzip", "Cache-Control: no-transform"],
    "gunzip-told",
  ),
  sends("an empty body", "", ["Content-Encoding: gzip"]),
  raw("decompress: what the origin is told", request("GET", "/e", []), { listener: "gunzip" }),
  raw("decompress: what the origin is told beside the client's", request("GET", "/e", ["Accept-Encoding: br"]), { listener: "gunzip" }),
  raw("decompress: what the origin is told of a client that refuses", request("GET", "/e", ["Accept-Encoding: gzip;q=0"]), {
    listener: "gunzip",
  }),
  raw("decompress: what the origin is told where not advertised", request("GET", "/e", []), { listener: "gunzip-told" }),
  gets("a response", "coded=1&content-encoding=gzip"),
  gets("a response in chunks", "coded=1&chunked=1&content-encoding=gzip"),
  gets("a response for a client that accepts gzip", "coded=1&content-encoding=gzip", ["Accept-Encoding: gzip"]),
  gets("a response with an ETag", "coded=1&content-encoding=gzip&etag=%22x%22&vary=x"),
  gets("a response coded twice", "coded=1&content-encoding=br,gzip"),
  gets("a response of another coding", "coded=1&content-encoding=br"),
  gets("a response that must not be changed", "coded=1&content-encoding=gzip&cache-control=no-transform"),
  gets("a response where responses are off", "coded=1&content-encoding=gzip", [], "gunzip-told"),
  gets("an error", "coded=1&content-encoding=gzip&status=500"),
  gets("HEAD", "coded=1&content-encoding=gzip", [], "gunzip", "HEAD"),
  gets("304", "size=0&content-encoding=gzip&status=304"),
];
