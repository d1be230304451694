// Messages are counted alike however their bytes were split.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { GrpcMessageCounter } from "../../../src/wire/grpc-frames.ts";
import { seededRandom } from "../../support/cluster-models.ts";

function frame(length: number): Buffer {
  const bytes = Buffer.alloc(5 + length, 1);
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

suite("gRPC messages", () => {
  for (const [title, lengths] of [
    ["none", []],
    ["one without content", [0]],
    ["several", [3, 0, 0, 300, 70_000]],
  ] as const) {
    test(`${title}: whole, and byte by byte`, () => {
      const bytes = Buffer.concat(lengths.map(frame));
      const whole = new GrpcMessageCounter();
      whole.read(bytes);
      assert.equal(whole.messages, lengths.length);
      const split = new GrpcMessageCounter();
      for (const byte of bytes) split.read(Uint8Array.of(byte));
      assert.equal(split.messages, lengths.length);
    });
  }

  test("a message counts once its head is complete", () => {
    const counter = new GrpcMessageCounter();
    counter.read(frame(9).subarray(0, 4));
    assert.equal(counter.messages, 0);
    counter.read(frame(9).subarray(4, 7));
    assert.equal(counter.messages, 1);
  });

  test("any split of any bytes counts what the whole counts", () => {
    const random = seededRandom(7);
    for (let round = 0; round < 300; round++) {
      const bytes = Buffer.from(
        Array.from({ length: Math.floor(random() * 200) }, () => Math.floor(random() * (round % 3 === 0 ? 256 : 4))),
      );
      const whole = new GrpcMessageCounter();
      whole.read(bytes);
      const split = new GrpcMessageCounter();
      for (let at = 0; at < bytes.length;) {
        const to = at + Math.floor(random() * 12);
        split.read(bytes.subarray(at, to));
        at = to;
      }
      assert.equal(split.messages, whole.messages, bytes.toString("hex"));
    }
  });
});
