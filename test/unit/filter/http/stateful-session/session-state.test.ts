import assert from "node:assert/strict";
import { test } from "node:test";
import { createSessionCodec } from "../../../../../src/filter/http/stateful-session/session-state.ts";
import type { HttpStream } from "../../../../../src/http/stream.ts";
import { HeaderMap } from "../../../../../src/wire/header-map.ts";
import { seededRandom } from "../../../../support/cluster-models.ts";

const minute = 60_000;
const lasting = createSessionCodec({ kind: "cookie", name: "s", ttlMs: minute, path: "", attributes: [] });

function streamWith(name: string, value: string): HttpStream {
  const headers = new HeaderMap();
  headers.add(name, value);
  return { headers, path: "/" } as HttpStream;
}

const cookie = (bytes: Buffer): HttpStream => streamWith("cookie", `s=${bytes.toString("base64")}`);

test("a cookie with a lifetime is good until it ends", () => {
  const headers = new HeaderMap();
  lasting.write(headers, "10.0.0.1:80", 1_000_000);
  const stream = streamWith("cookie", headers.get("set-cookie")!.split(";")[0]!);
  assert.equal(lasting.read(stream, 1_000_000 + minute), "10.0.0.1:80");
  assert.equal(lasting.read(stream, 1_000_000 + minute + 1000), undefined);
});

test("a cookie without an end is none where cookies have one", () => {
  assert.equal(lasting.read(cookie(Buffer.from("\n\u000b10.0.0.1:80", "latin1")), 0), undefined);
});

for (const [title, bytes] of [
  ["a length beyond the end", "\n\u00ff\u00010.0.0.1:80"],
  ["another field", "\u001a\u0001a"],
  ["a number that does not end", "\u0010\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff\u00ff"],
  ["nothing", ""],
] as const) {
  test(`a cookie with ${title} names no host`, () => assert.equal(lasting.read(cookie(Buffer.from(bytes, "latin1")), 0), undefined));
}

test("a header that is no base64, or too long, names no host", () => {
  const codec = createSessionCodec({ kind: "header", name: "x" });
  for (const value of ["%%%", "MTA=x", "A".repeat(2000)]) assert.equal(codec.read(streamWith("x", value), 0), undefined);
});

test("whatever bytes a cookie has, reading it is no fault", () => {
  const random = seededRandom(11);
  for (let round = 0; round < 3000; round++) {
    const bytes = Buffer.from(Array.from({ length: Math.floor(random() * 24) }, () => Math.floor(random() * 256)));
    if (random() < 0.5) bytes[0] = 0x0a;
    const found = lasting.read(cookie(bytes), 0);
    assert.ok(found === undefined || found.length > 0);
  }
});
