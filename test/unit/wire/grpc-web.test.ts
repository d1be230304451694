import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { encodeGrpcFrame } from "../../../src/wire/grpc-frame.ts";
import { Base64Reader, encodeTrailersFrame, FrameTextWriter } from "../../../src/wire/grpc-web.ts";
import { HeaderMap } from "../../../src/wire/header-map.ts";
import { seededRandom } from "../../support/cluster-models.ts";

/** The bytes in pieces of random sizes. */
function cut(bytes: Buffer, random: () => number): readonly Buffer[] {
  const out: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = 1 + Math.floor(random() * 9);
    out.push(bytes.subarray(at, at + size));
    at += size;
  }
  return out;
}

suite("requests in base64", () => {
  test("read the same in pieces of any size", () => {
    const random = seededRandom(3);
    for (let length = 1; length < 60; length++) {
      const body = Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
      const reader = new Base64Reader();
      const text = cut(Buffer.from(body.toString("base64"), "latin1"), random);
      const out = text.map((piece, i) => reader.push(piece, i === text.length - 1));
      assert.deepEqual(Buffer.concat(out.map((piece) => (typeof piece === "string" ? Buffer.from(piece) : piece))), body);
    }
  });

  for (const [title, pieces, expected] of [
    ["nothing at all", [""], [""]],
    ["a part of a group", ["abc"], ["size"]],
    ["a group in two pieces", ["ab", "cd"], ["", "i\xb7\x1d"]],
    ["characters that are no base64", ["ab$="], ["data"]],
    ["padding within a piece", ["aGk=aGk="], ["data"]],
    ["a group and a part of one", ["abcdabc"], ["size"]],
  ] as const) {
    test(title, () => {
      const reader = new Base64Reader();
      const out = pieces.map((piece, i) => reader.push(Buffer.from(piece, "latin1"), i === pieces.length - 1));
      const read = out.map((piece) => (typeof piece === "string" ? piece : piece.toString("latin1")));
      assert.deepEqual(read, expected);
    });
  }
});

test("frames in base64 are padded at their ends, however they are cut", () => {
  const random = seededRandom(5);
  for (let round = 0; round < 100; round++) {
    const frames = Array.from({ length: 1 + Math.floor(random() * 5) }, () =>
      encodeGrpcFrame(Buffer.alloc(Math.floor(random() * 20), "x"), random() < 0.5 ? 0 : 1),
    );
    const writer = new FrameTextWriter();
    const text = cut(Buffer.concat(frames), random).map((piece) => writer.push(piece).toString("latin1"));
    assert.equal(text.join(""), frames.map((frame) => frame.toString("base64")).join(""));
  }
});

test("trailers are a frame of lines", () => {
  const trailers = new HeaderMap();
  trailers.add("grpc-status", "0");
  trailers.add("x-tail", "a b");
  assert.equal(encodeTrailersFrame(trailers).toString("latin1"), "\x80\x00\x00\x00\x1bgrpc-status:0\r\nx-tail:a b\r\n");
});
