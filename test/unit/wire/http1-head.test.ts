import assert from "node:assert/strict";
import { test } from "node:test";
import { Head, parseRequestHead, parseResponseHead, type HeadLimits } from "../../../src/wire/http1-head.ts";

const limits: HeadLimits = { maxBytes: 60 * 1024, maxHeaders: 100, underscores: "ALLOW" };
const parse = (text: string, extra: Partial<HeadLimits> = {}): Head | string => {
  const bytes = Buffer.from(text, "latin1");
  return parseRequestHead(bytes, 0, bytes.length, { ...limits, ...extra });
};
const parsed = (text: string, extra: Partial<HeadLimits> = {}): Head => {
  const head = parse(text, extra);
  assert.ok(head instanceof Head, "expected a head");
  return head;
};
const fields = (head: Head): string[] => head.headers.names.map((name, i) => `${name}: ${head.headers.values[i]}`);

const line = "GET /x HTTP/1.1\r\n";
const refusals: readonly (readonly [string, string, string])[] = [
  ["an unknown method", "FROB / HTTP/1.1\r\n\r\n", "codec_error"],
  ["a line that is no request line", "garbage\r\n\r\n", "codec_error"],
  ["TLS bytes", "\x16\x03\x01\x00\x05\x01", "codec_error"],
  ["HTTP/0.9", "GET /echo\r\n", "low_version"],
  ["HTTP/2.0 in the request line", "GET / HTTP/2.0\r\n\r\n", "low_version"],
  ["HTTP/1.2", "GET / HTTP/1.2\r\n\r\n", "low_version"],
  ["a lower-case protocol name", "GET / http/1.1\r\n\r\n", "codec_error"],
  ["a space in the target", "GET /a b HTTP/1.1\r\n\r\n", "codec_error"],
  ["no target", "GET  HTTP/1.1\r\n\r\n", "codec_error"],
  ["a target without a slash", "GET relative HTTP/1.1\r\n\r\n", "codec_error"],
  ["CONNECT without a port", "CONNECT lab HTTP/1.1\r\n\r\n", "invalid_url"],
  ["CONNECT to a port that there is not", "CONNECT lab:65536 HTTP/1.1\r\n\r\n", "invalid_url"],
  ["CONNECT to a URL", "CONNECT http://lab:80/ HTTP/1.1\r\n\r\n", "invalid_url"],
  ["a Connection field that names who the client is", `${line}Connection: x-forwarded-for\r\n\r\n`, "connection_header_rejected"],
  ["a Connection field that names a pseudo-header", `${line}Connection: close, :path\r\n\r\n`, "connection_header_rejected"],
  ["a Connection field that names ten", `${line}Connection: a,b,c,d,e,f,g,h,i,j\r\n\r\n`, "connection_header_rejected"],
  ["bytes over 127 in the target", "GET /\xc3\xa9 HTTP/1.1\r\n\r\n", "codec_error"],
  ["a control character in the target", "GET /\x02 HTTP/1.1\r\n\r\n", "invalid_characters"],
  ["* for a GET", "GET * HTTP/1.1\r\n\r\n", "invalid_url"],
  ["an absolute target of another scheme", "GET ftp://a/ HTTP/1.1\r\n\r\n", "invalid_scheme"],
  ...["", ":80", "a:", "a:65536", "a:1:2", "[::1].", "x[::1]", "[::1", "a;b", "a\\b"].map(
    (authority) => [`an absolute target for ${authority}`, `GET http://${authority}/ HTTP/1.1\r\n\r\n`, "invalid_url"] as const,
  ),
  ["a CONNECT without a port", "CONNECT a HTTP/1.1\r\n\r\n", "invalid_url"],
  ["a CONNECT to a path", "CONNECT /a:1 HTTP/1.1\r\n\r\n", "invalid_url"],
  ["a CONNECT with a body", "CONNECT a:1 HTTP/1.1\r\nContent-Length: 1\r\n\r\n", "body_disallowed"],
  ...["a/b", "a b", "a\\b", "a?b", "a#b", "\xe4", 'a"', "<a>"].map(
    (host) => [`the Host ${host}`, `${line}Host: ${host}\r\n\r\n`, "invalid_authority"] as const,
  ),
  ...[":path", "X-Forwarded-For", "x-forwarded-host", "a, X-Forwarded-Proto"].map(
    (option) => [`Connection: ${option}`, `${line}Connection: ${option}\r\n\r\n`, "connection_header_rejected"] as const,
  ),
  ["CR alone as a line end", "GET / HTTP/1.1\rHost: a\r\n\r\n", "codec_error"],
  ["a space before the colon", `${line}X-A : b\r\n\r\n`, "codec_error"],
  ["a tab before the colon", `${line}X-A\t: b\r\n\r\n`, "codec_error"],
  ["a field without a colon", `${line}nocolon\r\n\r\n`, "codec_error"],
  ["an empty field name", `${line}: v\r\n\r\n`, "codec_error"],
  ["a field name that is no token", `${line}X(A): v\r\n\r\n`, "codec_error"],
  ["a NUL in a value", `${line}X-A: a\0b\r\n\r\n`, "invalid_characters"],
  ["a CR inside a value", `${line}X-A: a\rb\r\n\r\n`, "codec_error"],
  ["a first field that is folded", `${line} a: b\r\n\r\n`, "codec_error"],
  ["a folded Transfer-Encoding", `${line}Transfer-Encoding:\r\n chunked\r\n\r\n`, "codec_error"],
  ["a folded Content-Length", `${line}Content-Length: 1\r\n 2\r\n\r\n`, "codec_error"],
  ["a Content-Length that is no number", `${line}Content-Length: 5x\r\n\r\n`, "codec_error"],
  ["a negative Content-Length", `${line}Content-Length: -1\r\n\r\n`, "codec_error"],
  ["an empty Content-Length", `${line}Content-Length:\r\n\r\n`, "codec_error"],
  ["a signed Content-Length", `${line}Content-Length: +1\r\n\r\n`, "codec_error"],
  ["a Content-Length past 2^53", `${line}Content-Length: 9007199254740993\r\n\r\n`, "codec_error"],
  ["two equal Content-Lengths", `${line}Content-Length: 5\r\nContent-Length: 5\r\n\r\n`, "codec_error"],
  ["a list of Content-Lengths", `${line}Content-Length: 5, 5\r\n\r\n`, "codec_error"],
  [
    "Content-Length with chunked",
    `${line}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n`,
    "content_length_and_chunked_not_allowed",
  ],
  ["gzip, chunked", `${line}Transfer-Encoding: gzip, chunked\r\n\r\n`, "invalid_transfer_encoding"],
  ["identity", `${line}Transfer-Encoding: identity\r\n\r\n`, "invalid_transfer_encoding"],
  ["chunked twice", `${line}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`, "invalid_transfer_encoding"],
  ["a coding with a vertical tab", `${line}Transfer-Encoding: \x0bchunked\r\n\r\n`, "invalid_characters"],
  ["a field section over the limit", `${line}X: ${"a".repeat(61 * 1024)}`, "headers_too_large"],
  ["a request line over the limit", `GET /${"a".repeat(61 * 1024)}`, "headers_too_large"],
  ["more fields than allowed", `${line}${"a: b\r\n".repeat(101)}\r\n`, "too_many_headers"],
];
for (const [what, text, expected] of refusals) test(`refuses ${what}`, () => assert.equal(parse(text), expected));

const accepted: readonly (readonly [string, string, readonly string[]])[] = [
  ["lower-cases names and keeps values", `${line}X-Custom-CASE: Keep\r\n\r\n`, ["x-custom-case: Keep"]],
  ["trims blanks around values", `${line}X-S:   a b \t \r\n\r\n`, ["x-s: a b"]],
  ["keeps an empty value", `${line}X-E:\r\n\r\n`, ["x-e: "]],
  ["joins an obs-fold by its white space", `${line}X-F: a\r\n\t b\r\n\r\n`, ["x-f: a\t b"]],
  ["takes bare LF as a line end", "GET /x HTTP/1.1\nA: b\n\n", ["a: b"]],
  ["keeps repeated fields apart", `${line}X-D: 1\r\nX-D: 2\r\n\r\n`, ["x-d: 1", "x-d: 2"]],
  ["joins a repeated accept", `${line}Accept: a\r\nAccept: b\r\n\r\n`, ["accept: a,b"]],
  ["drops hop-by-hop fields", `${line}Connection: keep-alive\r\nKeep-Alive: 1\r\nProxy-Connection: x\r\nTE: gzip\r\n\r\n`, []],
  ["drops fields named in Connection", `${line}Connection: X-Drop\r\nX-Drop: 1\r\nX-Keep: 1\r\n\r\n`, ["x-keep: 1"]],
  ["keeps TE: trailers alone", `${line}TE: gzip, trailers\r\n\r\n`, ["te: trailers"]],
  [
    "does not let Connection take the framing away",
    `POST /x HTTP/1.1\r\nConnection: content-length\r\nContent-Length: 3\r\n\r\n`,
    ["content-length: 3"],
  ],
  ["passes latin1 values", `${line}X-L: caf\xe9\r\n\r\n`, ["x-l: caf\xe9"]],
  ["drops a nominated X-Forwarded-Port", `${line}Connection: x-forwarded-port\r\nX-Forwarded-Port: 1\r\n\r\n`, []],
  ["joins what Expect says twice", `${line}Expect: y\r\nExpect: 100-continue\r\n\r\n`, ["expect: y,100-continue"]],
  ["tolerates blank lines in front", `\r\n\n${line}A: b\r\n\r\n`, ["a: b"]],
];
for (const [what, text, expected] of accepted) test(what, () => assert.deepEqual(fields(parsed(text)), expected));

test("reads what frames and routes the message", () => {
  const head = parsed(
    "POST http://lab/abs?q HTTP/1.1\r\nHost: other\r\nTransfer-Encoding: Chunked\r\nConnection: close\r\nExpect: 100-Continue\r\n\r\nrest",
  );
  assert.equal(head.method, "POST");
  assert.equal(head.target, "http://lab/abs?q");
  assert.equal(head.host, "other");
  assert.equal(head.chunked, true);
  assert.equal(head.connectionClose, true);
  assert.equal(head.expectContinue, true);
  assert.equal(
    head.consumed,
    "POST http://lab/abs?q HTTP/1.1\r\nHost: other\r\nTransfer-Encoding: Chunked\r\nConnection: close\r\nExpect: 100-Continue\r\n\r\n"
      .length,
  );
});

test("Host is gone when Connection names it", () => {
  assert.equal(parsed(`${line}Host: a\r\nConnection: host\r\n\r\n`).host, undefined);
});

test("takes the characters of an authority in Host and in an absolute target", () => {
  for (const host of ["", "a_b~c.d:80", "[::1]:80", "u@a", "a,b", "%61"]) assert.equal(parsed(`${line}Host: ${host}\r\n\r\n`).host, host);
  for (const authority of ["a", "a_b.c-d:65535", "[::ffff:1.2.3.4]", "u:p@a:1"])
    assert.ok(parse(`GET http://${authority} HTTP/1.1\r\n\r\n`) instanceof Head, authority);
});

test("joins two Hosts so that they match no virtual host", () => assert.equal(parsed(`${line}Host: a\r\nHost: b\r\n\r\n`).host, "a,b"));

test("ends the head at the first blank line, even when a CRLF CRLF follows later", () => {
  const head = parsed("GET /a HTTP/1.1\nHost: a\n\nGET /b HTTP/1.1\r\nHost: b\r\n\r\n");
  assert.equal(head.target, "/a");
  assert.equal(head.consumed, "GET /a HTTP/1.1\nHost: a\n\n".length);
});

test("an upgrade counts only when Connection names it", () => {
  assert.equal(parsed(`${line}Connection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n`).upgrade, "websocket");
  assert.equal(parsed(`${line}Upgrade: websocket\r\n\r\n`).upgrade, "");
});

test("underscores are rejected or dropped when asked", () => {
  assert.equal(parse(`${line}x_u: 1\r\n\r\n`, { underscores: "REJECT_REQUEST" }), "unexpected_underscore");
  assert.deepEqual(fields(parsed(`${line}x_u: 1\r\na: b\r\n\r\n`, { underscores: "DROP_HEADER" })), ["a: b"]);
});

test("every prefix of a good head is incomplete, whatever the split", () => {
  const text = `${line}Host: lab\r\nX-A: b\r\nContent-Length: 3\r\n\r\n`;
  for (let n = 0; n < text.length; n++) assert.equal(parse(text.slice(0, n)), "incomplete", `at ${n}`);
  assert.ok(parse(text) instanceof Head);
});

const response = (text: string): Head | string => {
  const bytes = Buffer.from(text, "latin1");
  return parseResponseHead(bytes, 0, bytes.length, limits);
};

for (const text of [
  "this is not http\r\n\r\n",
  "HTTP/1.1 99 X\r\n\r\n",
  "HTTP/1.1 9x9 X\r\n\r\n",
  "HTTP/2.0 200 OK\r\n\r\n",
  "HTTP/1.1 200OK\r\n\r\n",
  "HTTP/1.1 200 OK\r\nX-A : b\r\n\r\n",
]) {
  test(`refuses the response ${JSON.stringify(text)}`, () => assert.equal(response(text), "codec_error"));
}

test("reads a response head with and without a reason, with LF line ends too", () => {
  for (const text of ["HTTP/1.1 204 \r\nA: b\r\n\r\n", "HTTP/1.1 204\r\nA: b\r\n\r\n", "HTTP/1.0 204 No Content\nA: b\n\n"]) {
    const head = response(text);
    assert.ok(head instanceof Head);
    assert.equal(head.status, 204);
    assert.deepEqual(fields(head), ["a: b"]);
  }
});

test("random bytes give a verdict and never an exception", () => {
  let seed = 7;
  const random = (n: number): number => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n;
  const base = Buffer.from(
    "POST /a?b=c HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\nConnection: x, close\r\nX: y\r\n z\r\n\r\n",
    "latin1",
  );
  for (let i = 0; i < 20_000; i++) {
    const bytes = Buffer.from(base);
    for (let n = random(6); n >= 0; n--) bytes[random(bytes.length)] = random(256);
    const head = parseRequestHead(bytes, 0, bytes.length, limits);
    if (!(head instanceof Head)) continue;
    assert.ok(head.consumed <= bytes.length);
    for (const value of [...head.headers.names, ...head.headers.values]) assert.doesNotMatch(value, /[\r\n\0]/);
    assert.ok(!(head.chunked && head.contentLength >= 0));
  }
});
