// Read buffers: they grow under load, shrink after it, and stay within the budget of the thread.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { AdaptiveBuffer } from "../../../../src/net/relay/adaptive-buffer.ts";

function grow(buffer: AdaptiveBuffer): number {
  for (let i = 0; i < 8; i++) buffer.used(buffer.current.length);
  return buffer.current.length;
}

suite("adaptive buffer", () => {
  test("grows to 1 MiB when reads fill it", () => {
    const buffer = new AdaptiveBuffer();
    assert.equal(buffer.current.length, 16 * 1024);
    assert.equal(grow(buffer), 1024 * 1024);
    buffer.release();
  });

  test("shrinks after a row of small reads, and not after one of them", () => {
    const buffer = new AdaptiveBuffer();
    grow(buffer);
    buffer.used(10);
    assert.equal(buffer.current.length, 1024 * 1024);
    for (let i = 0; i < 16; i++) buffer.used(10);
    assert.equal(buffer.current.length, 16 * 1024);
  });

  test("many streams share 64 MiB, and what one gives back another gets", () => {
    const buffers = Array.from({ length: 200 }, () => new AdaptiveBuffer());
    const total = buffers.reduce((sum, buffer) => sum + grow(buffer), 0);
    assert.ok(total <= 64 * 1024 * 1024 + 200 * 16 * 1024, `took ${total}`);
    assert.equal(buffers.at(-1)?.current.length, 16 * 1024);
    for (const buffer of buffers) buffer.release();
    const late = new AdaptiveBuffer();
    assert.equal(grow(late), 1024 * 1024);
    late.release();
  });
});
