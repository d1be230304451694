import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { GrpcMessageCounter } from "../../../src/wire/grpc-message-counter.ts";
import { seededRandom } from "../../support/cluster-models.ts";

function frame(length: number, flag = 0): Buffer {
  const bytes = Buffer.alloc(5 + length);
  bytes[0] = flag;
  bytes.writeUInt32BE(length, 1);
  return bytes;
}

suite("gRPC messages are counted", () => {
  test("when their prefix is complete", () => {
    const counter = new GrpcMessageCounter();
    assert.equal(counter.count(frame(3).subarray(0, 4)), 0);
    assert.equal(counter.count(frame(3).subarray(4)), 1);
    assert.equal(counter.count(Buffer.concat([frame(0), frame(2, 1), frame(1).subarray(0, 2)])), 2);
    assert.equal(counter.total, 3);
  });

  test("with lengths above two gigabytes", () => {
    const counter = new GrpcMessageCounter();
    assert.equal(counter.count(Buffer.from([0, 0xff, 0xff, 0xff, 0xff])), 1);
    assert.equal(counter.count(frame(1)), 0);
  });

  test("alike in any pieces", () => {
    const random = seededRandom(7);
    for (let round = 0; round < 200; round++) {
      const lengths = Array.from({ length: 1 + Math.floor(random() * 8) }, () => Math.floor(random() * 40));
      const bytes = Buffer.concat(lengths.map((length) => frame(length)));
      const counter = new GrpcMessageCounter();
      let counted = 0;
      for (let at = 0; at < bytes.length;) {
        const next = Math.min(bytes.length, at + 1 + Math.floor(random() * 12));
        counted += counter.count(bytes.subarray(at, next));
        at = next;
      }
      assert.equal(counted, lengths.length);
    }
  });

  test("any split of any bytes counts what the whole counts", () => {
    const random = seededRandom(7);
    for (let round = 0; round < 300; round++) {
      const bytes = Buffer.from(
        Array.from({ length: Math.floor(random() * 200) }, () => Math.floor(random() * (round % 3 === 0 ? 256 : 4))),
      );
      const whole = new GrpcMessageCounter();
      whole.count(bytes);
      const split = new GrpcMessageCounter();
      for (let at = 0; at < bytes.length;) {
        const to = at + Math.floor(random() * 12);
        split.count(bytes.subarray(at, to));
        at = to;
      }
      assert.equal(split.total, whole.total, bytes.toString("hex"));
    }
  });
});
