// Frames come out the same however the bytes are cut.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameReader } from "../../../../src/wire/http2/frame-reader.ts";
import { frame } from "../../../support/h2-frames.ts";

const frames = [
  frame(4, 0, 0),
  frame(1, 5, 1, Buffer.from("head")),
  frame(0, 0, 3, Buffer.alloc(300, 7)),
  frame(0, 1, 3),
  frame(6, 0, 0, Buffer.alloc(8)),
];
const bytes = Buffer.concat(frames);
const expected = ["4 0 0 ", "1 5 1 68656164", `0 0 3 ${"07".repeat(300)}`, "0 1 3 ", "6 0 0 0000000000000000"];

function read(cuts: readonly number[], stopAfter = Infinity): { seen: string[]; oversized: number } {
  const seen: string[] = [];
  let oversized = 0;
  const reader = new FrameReader(
    {
      onFrame: (type, flags, id, buffer, start, end) => {
        seen.push(`${type} ${flags} ${id} ${buffer.toString("hex", start, end)}`);
        return seen.length < stopAfter;
      },
      onOversizedFrame: () => oversized++,
    },
    16_384,
  );
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    if (!reader.read(Buffer.from(bytes.subarray(from, to)), 0)) break;
    from = to;
  }
  return { seen, oversized };
}

test("in one piece, in two at any place, and byte by byte", () => {
  assert.deepEqual(read([]).seen, expected);
  for (let at = 1; at < bytes.length; at++) assert.deepEqual(read([at]).seen, expected, String(at));
  assert.deepEqual(read(Array.from({ length: bytes.length - 1 }, (_, i) => i + 1)).seen, expected);
});

test("nothing is passed after the sink has had enough", () => {
  assert.deepEqual(read([], 2).seen, expected.slice(0, 2));
  assert.deepEqual(read([12, 15], 2).seen, expected.slice(0, 2));
});

test("a frame that announces too much is told at once, before its payload", () => {
  for (const cut of [9, 4]) {
    let oversized = 0;
    const reader = new FrameReader({ onFrame: () => true, onOversizedFrame: () => oversized++ }, 16_384);
    const head = Buffer.from([0, 0x40, 1, 0, 0, 0, 0, 0, 1]);
    reader.read(head.subarray(0, cut), 0);
    if (cut < 9) reader.read(head.subarray(cut), 0);
    assert.equal(oversized, 1);
  }
});
