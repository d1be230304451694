// Blocks in pieces: put together, and bounded.
import assert from "node:assert/strict";
import { test } from "node:test";
import { HeaderBlocks } from "../../../../src/net/http2/header-blocks.ts";

test("pieces are put together, from copies", () => {
  const blocks = new HeaderBlocks(1000);
  const piece = Buffer.from("ab");
  blocks.begin(5, 1, piece);
  piece.fill(0);
  assert.deepEqual([blocks.stream, blocks.flags], [5, 1]);
  assert.ok(blocks.add(Buffer.from("cd")));
  assert.equal(blocks.take().toString(), "abcd");
  assert.equal(blocks.stream, 0);
});

test("tiny pieces are allowed a few times, large ones up to the limit", () => {
  const tiny = new HeaderBlocks(1000);
  tiny.begin(1, 0, Buffer.alloc(0));
  for (let i = 0; i < 16; i++) assert.ok(tiny.add(Buffer.alloc(1)));
  assert.equal(tiny.add(Buffer.alloc(1)), false);
  const large = new HeaderBlocks(1024);
  large.begin(1, 0, Buffer.alloc(1024));
  assert.ok(large.add(Buffer.alloc(128 * 1024)));
  assert.equal(large.add(Buffer.alloc(1024)), false);
});
