// A client's preface, in however many pieces it comes.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { PrefaceReader } from "../../../../src/net/http2/preface-reader.ts";
import { clientPreface } from "../../../../src/wire/http2/frame.ts";

suite("preface of a client", () => {
  test("says where the frames begin, wherever the preface is split", () => {
    const bytes = Buffer.concat([clientPreface, Buffer.from("frames")]);
    for (let split = 1; split < clientPreface.length; split++) {
      const reader = new PrefaceReader();
      assert.equal(reader.read(bytes.subarray(0, split)), "incomplete", `split at ${split}`);
      assert.equal(reader.read(bytes.subarray(split)), clientPreface.length - split, `split at ${split}`);
    }
    assert.equal(new PrefaceReader().read(bytes), clientPreface.length);
  });

  test("is read byte by byte", () => {
    const reader = new PrefaceReader();
    const answers = Array.from(clientPreface, (byte) => reader.read(Buffer.of(byte)));
    assert.deepEqual(answers, [...Array<string>(clientPreface.length - 1).fill("incomplete"), 1]);
  });

  test("is wrong at the first byte that differs", () => {
    for (let at = 0; at < clientPreface.length; at++) {
      const bytes = Buffer.from(clientPreface.subarray(0, at + 1));
      bytes[at]! ^= 1;
      const reader = new PrefaceReader();
      if (at > 0) assert.equal(reader.read(bytes.subarray(0, at)), "incomplete");
      assert.equal(reader.read(bytes.subarray(at)), "wrong", `byte ${at}`);
    }
  });
});
