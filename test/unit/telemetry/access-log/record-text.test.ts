import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { RecordQueue } from "../../../../src/telemetry/access-log/record-queue.ts";
import { RecordText } from "../../../../src/telemetry/access-log/record-text.ts";
import { recordOf } from "../streams.ts";

const bytesOf = (text: string): string => Buffer.from(text, "utf8").toString("latin1");
const long = "x".repeat(100);

suite("a record while it is made", () => {
  const values: readonly string[] = [
    "",
    "plain",
    'a "quoted" \\ one',
    "tab\tand\r\n",
    "\x7f",
    "é and €",
    long,
    `${long}"`,
    `${long}é`,
    `${long}\0`,
  ];
  for (const value of values) {
    test(`quotes ${JSON.stringify(value).slice(0, 30)} as JSON does`, () => {
      const record = new RecordText();
      record.quoted(bytesOf(value));
      assert.equal(record.toString(), bytesOf(JSON.stringify(value)));
    });
  }

  test("grows, takes back, and starts anew", () => {
    const record = new RecordText();
    record.text("a".repeat(4095));
    record.raw(Buffer.from(long));
    const before = record.length;
    record.text("too much");
    record.length = before;
    record.quoted("end");
    assert.equal(record.toString(), `${"a".repeat(4095)}${long}"end"`);
    assert.equal(record.last, 34);
    record.clear();
    record.text("next");
    assert.equal(record.toString(), "next");
  });
});

suite("records that wait", () => {
  const taken = (queue: RecordQueue): string | undefined => {
    const chunk = queue.take();
    return chunk?.bytes.toString("latin1", 0, chunk.used);
  };

  test("come back in order, whole, a buffer at a time", () => {
    const queue = new RecordQueue(10);
    for (const text of ["one\n", "two\n", "three\n", `${long}\n`, "four\n"]) queue.add(recordOf(text));
    assert.equal(queue.bytes, 120);
    assert.deepEqual([taken(queue), taken(queue), taken(queue)], ["one\ntwo\n", "three\n", `${long}\n`]);
    assert.equal(queue.takeAll().toString(), "four\n");
    assert.deepEqual([queue.bytes, taken(queue)], [0, undefined]);
  });

  test("a buffer that was given back is used again, one made for a long record is not", () => {
    const queue = new RecordQueue(10);
    queue.add(recordOf("one\n"));
    const first = queue.take()!;
    queue.giveBack(first);
    queue.add(recordOf(`${long}\n`));
    const large = queue.take()!;
    queue.giveBack(large);
    queue.add(recordOf("two\n"));
    const again = queue.take()!;
    assert.equal(again.bytes, first.bytes);
    assert.equal(again.bytes.toString("latin1", 0, again.used), "two\n");
  });
});
