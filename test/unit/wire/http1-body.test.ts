import assert from "node:assert/strict";
import { test } from "node:test";
import { BodyDecoder, type BodyFraming } from "../../../src/wire/http1-body.ts";

const limits = { maxBytes: 8192, maxHeaders: 10, underscores: "ALLOW" } as const;

interface Outcome {
  readonly payload: string;
  readonly done: boolean;
  readonly failed: boolean;
  readonly left: string;
  readonly trailers: string | undefined;
}

/** Feeds `text` in pieces of `size` bytes. */
function decode(framing: BodyFraming, text: string, size: number): Outcome {
  const decoder = new BodyDecoder(limits);
  decoder.reset(framing);
  const bytes = Buffer.from(text, "latin1");
  let payload = "";
  let at = 0;
  while (at < bytes.length && !decoder.done && !decoder.failed) {
    const piece = Buffer.from(bytes.subarray(at, at + size));
    at += decoder.decode(piece, 0, piece.length);
    payload += decoder.data?.toString("latin1") ?? "";
  }
  return {
    payload,
    done: decoder.done,
    failed: decoder.failed !== undefined,
    left: bytes.toString("latin1", at),
    trailers: decoder.trailers?.get("x-t"),
  };
}

const chunked: BodyFraming = { kind: "chunked" };
const good: readonly (readonly [string, BodyFraming, string, Partial<Outcome>])[] = [
  ["a length-framed body", { kind: "length", length: 5 }, "hellonext", { payload: "hello", left: "next" }],
  ["a chunked body", chunked, "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nnext", { payload: "hello world", left: "next" }],
  ["chunk extensions, dropped", chunked, "3;a=b\r\nabc\r\n0;x\r\n\r\n", { payload: "abc", left: "" }],
  ["trailers", chunked, "1\r\na\r\n0\r\nX-T: v\r\n\r\nnext", { payload: "a", trailers: "v", left: "next" }],
  ["upper-case hexadecimal", chunked, "A\r\n0123456789\r\n0\r\n\r\n", { payload: "0123456789", left: "" }],
];
for (const [what, framing, text, expected] of good) {
  for (const size of [1, 2, 3, 7, 1000]) {
    test(`decodes ${what} in pieces of ${size}`, () => {
      const outcome = decode(framing, text, size);
      assert.equal(outcome.done, true);
      for (const [key, value] of Object.entries(expected)) assert.equal(outcome[key as keyof Outcome], value);
    });
  }
}

const bad: readonly (readonly [string, string])[] = [
  ["a size that is not hexadecimal", "ZZ\r\nabc\r\n"],
  ["an empty size", "\r\nabc\r\n"],
  ["a chunk not followed by CRLF", "3\r\nabcXX0\r\n\r\n"],
  ["a chunk line ended by LF alone", "3\nabc\r\n0\r\n\r\n"],
  ["a chunk ended by LF alone", "3\r\nabc\n0\r\n\r\n"],
  ["a size with a sign", "+3\r\nabc\r\n"],
  ["a size with 0x", "0x3\r\nabc\r\n"],
  ["a size past 2^52", "10000000000000\r\nabc\r\n"],
  ["an endless extension", `3;${"a".repeat(5000)}\r\nabc\r\n`],
  ["a trailer that frames", "0\r\nContent-Length: 5\r\n\r\n"],
  ["a trailer with a broken name", "0\r\nX Y: z\r\n\r\n"],
  ["trailers over the limit", `0\r\nX: ${"a".repeat(9000)}\r\n\r\n`],
];
for (const [what, text] of bad) {
  for (const size of [1, 1000]) test(`refuses ${what} in pieces of ${size}`, () => assert.equal(decode(chunked, text, size).failed, true));
}

test("many tiny chunks of one read come out as one piece", () => {
  const decoder = new BodyDecoder(limits);
  decoder.reset(chunked);
  const text = Buffer.from(`${"1\r\nx\r\n".repeat(500)}0\r\n\r\n`);
  decoder.decode(text, 0, text.length);
  assert.equal(decoder.data?.length, 500);
  assert.equal(decoder.done, true);
});
