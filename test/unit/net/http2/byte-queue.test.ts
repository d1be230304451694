// Bytes leave in the order they came, and tiny pieces share buffers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteQueue } from "../../../../src/net/http2/byte-queue.ts";
import { seededRandom } from "../../../support/cluster-models.ts";

test("gives back what it was given, in pieces of any size", () => {
  const next = seededRandom(11);
  const random = (most: number): number => Math.floor(next() * most);
  const queue = new ByteQueue();
  let wrote = 0;
  let took = 0;
  for (let round = 0; round < 5000; round++) {
    const data = Buffer.from(Array.from({ length: random(random(50) === 0 ? 5000 : 40) }, (_, i) => (wrote + i) % 251));
    queue.push(data);
    wrote += data.length;
    for (let i = random(3); i > 0; i--) {
      const taken = queue.take(random(2000) + 1);
      for (const byte of taken) assert.equal(byte, took++ % 251);
      if (taken.length === 0) assert.equal(queue.bytes, 0);
    }
    assert.equal(queue.bytes, wrote - took);
  }
  while (queue.bytes > 0) took += queue.take(Infinity).length;
  assert.equal(took, wrote);
});

test("a copy is kept, from where it is asked for", () => {
  const queue = new ByteQueue();
  const data = Buffer.from("abcdef");
  queue.push(data, 2);
  data.fill(0);
  assert.equal(queue.take(3).toString(), "cde");
  assert.equal(queue.take(3).toString(), "f");
});

test("a thousand single bytes share one buffer", () => {
  const queue = new ByteQueue();
  for (let i = 0; i < 1000; i++) queue.push(Buffer.from([1]));
  assert.equal(queue.take(Infinity).length, 1000);
});
