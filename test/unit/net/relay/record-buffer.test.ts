// Records behind one another: nothing is lost or overwritten, whatever is still being written.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { RecordBuffer } from "../../../../src/net/relay/record-buffer.ts";
import { seededRandom } from "../../../support/cluster-models.ts";

const record = 16 * 1024;

/** Reads `bytes` as the relay does: into what `next` gave, in pieces where that is short. */
function read(buffer: RecordBuffer, target: Uint8Array, value: number, bytes: number): number {
  const length = Math.min(bytes, target.length);
  target.fill(value, 0, length);
  buffer.add(length);
  return length;
}

suite("record buffer", () => {
  test("gives back in one piece what came in several", () => {
    const buffer = new RecordBuffer();
    for (const value of [1, 2, 3]) read(buffer, buffer.next(false), value, 100);
    const taken = buffer.take();
    assert.equal(taken?.length, 300);
    assert.deepEqual([taken?.[0], taken?.[100], taken?.[299]], [1, 2, 3]);
    assert.equal(buffer.take(), undefined);
    buffer.release();
  });

  test("grows to 1 MiB for a stream, keeps room for what comes after the stop, and shrinks for small records", () => {
    const buffer = new RecordBuffer();
    const takes: number[] = [];
    for (let turn = 0; turn < 6; turn++) {
      do read(buffer, buffer.next(false), 1, record);
      while (!buffer.full);
      takes.push(buffer.take()?.length ?? 0);
    }
    assert.deepEqual(takes.slice(0, 3), [record, 4 * record, 11 * record]);
    assert.ok((takes.at(-1) ?? 0) > 900 * 1024, `took ${takes.at(-1)}`);
    assert.ok(buffer.next(true).length >= 4 * record, "no room for the rest of a read");
    buffer.next(false);
    for (let turn = 0; turn < 20; turn++) {
      read(buffer, buffer.next(false), 1, 10);
      buffer.take();
    }
    assert.equal(buffer.next(false).length, record);
    buffer.release();
  });

  test("what is being written stays as it is, in any order of events", () => {
    const random = seededRandom(11);
    const buffer = new RecordBuffer();
    let held: { readonly bytes: Uint8Array; readonly expected: Buffer }[] = [];
    let [arrived, gone] = [0, 0];
    const take = (): void => {
      const bytes = buffer.take();
      if (bytes === undefined) return;
      held.push({ bytes, expected: Buffer.from(bytes) });
      for (const [index, byte] of bytes.entries()) if (byte !== (gone + index) % 251) assert.fail(`wrong at ${gone + index}`);
      gone += bytes.length;
    };
    for (let step = 0; step < 4000; step++) {
      let target = buffer.next(held.length > 0);
      if (target.length === 0) {
        take();
        target = buffer.next(true);
      }
      const length = Math.min(target.length, 1 + Math.floor(random() * record));
      for (let index = 0; index < length; index++) target[index] = (arrived + index) % 251;
      arrived += length;
      buffer.add(length);
      if (random() < 0.3 || buffer.full) take();
      if (random() < 0.2) {
        for (const { bytes, expected } of held) assert.ok(expected.equals(bytes), "bytes changed while they were written");
        held = [];
      }
    }
    take();
    assert.equal(gone, arrived);
    buffer.release();
  });
});
