import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { AccessLines, parseAccessLine } from "../../../../src/cli/demo/access-lines.ts";

suite("the demo's access lines", () => {
  for (const [line, status] of [
    ['{"demo":"access","status":200}', 200],
    ['{"level":"info","msg":"ready"}', undefined],
    ["{not json", undefined],
    ["plain text", undefined],
  ] as const) {
    test(`${line} is ${status === undefined ? "not a record" : "a record"}`, () => assert.equal(parseAccessLine(line)?.status, status));
  }

  test("a record goes to the first who waits for that process and accepts it", async () => {
    const lines = new AccessLines();
    const failed = lines.next("a", 1000, ({ status }) => status === 503);
    const any = lines.next("a", 1000);
    lines.add("b", { status: 1 });
    lines.add("a", { status: 200 });
    lines.add("a", { status: 503 });
    assert.deepEqual([(await failed)?.status, (await any)?.status], [503, 200]);
  });

  test("waiting ends without a record when none comes in time", async () => {
    assert.equal(await new AccessLines().next("a", 1), undefined);
  });
});
