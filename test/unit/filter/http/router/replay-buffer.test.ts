import assert from "node:assert/strict";
import { test } from "node:test";
import { ReplayBuffer } from "../../../../../src/filter/http/router/replay-buffer.ts";

test("a body within the bound may be sent again, in order", () => {
  const replay = new ReplayBuffer();
  for (const piece of ["a", "bc", ""]) replay.keep(Buffer.from(piece), 3);
  assert.equal(replay.replayable, true);
  assert.equal(Buffer.concat(replay.pieces).toString(), "abc");
});

test("one byte over the bound gives everything up for good", () => {
  const replay = new ReplayBuffer();
  for (const piece of ["abc", "d", "e"]) replay.keep(Buffer.from(piece), 3);
  assert.equal(replay.replayable, false);
  assert.deepEqual(replay.pieces, []);
  assert.equal(replay.bytes, 0);
});
