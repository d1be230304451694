// What the shared memory of a thread says of its runs.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { begunSlot, createSharedBoard, maxUnderWay, readBoard, runningSlot } from "../../../../../src/filter/http/script/messages.ts";
import type { Run } from "../../../../../src/filter/http/script/run.ts";
import { RunsUnderWay } from "../../../../../src/filter/http/script/runs-under-way.ts";

const run = (cancelled = false): Run => ({
  invocation: {} as Run["invocation"],
  config: {},
  lost: 0,
  cancelled,
  askedMs: 0,
  onDone: () => undefined,
});

function underWay(count: number) {
  const board = readBoard(createSharedBoard());
  const runs = new RunsUnderWay(board);
  const added = Array.from({ length: count }, () => run());
  const ids = added.map((one) => runs.add(one));
  const begin = (id: number, nowMs: number): void => {
    board.starts[id % maxUnderWay] = nowMs;
    board.numbers[begunSlot] = id;
  };
  return { board, runs, added, ids, begin };
}

suite("runs under way in a thread", () => {
  test("those up to the last one that was begun are begun", () => {
    const { runs, ids, begin } = underWay(4);
    begin(ids[0]!, 100);
    begin(ids[1]!, 150);
    assert.deepEqual(runs.notBegun(), [ids[2], ids[3]]);
    assert.deepEqual(runs.begunBefore(200, 50), [ids[0], ids[1]]);
    assert.deepEqual(runs.begunBefore(200, 51), [ids[0]]);
  });

  test("one that is over does not run any more, whatever the memory says", () => {
    const { runs, ids, board, added } = underWay(1);
    assert.equal(runs.running, undefined);
    board.numbers[runningSlot] = ids[0]!;
    assert.equal(runs.running, ids[0]);
    assert.equal(runs.remove(ids[0]!), added[0]);
    assert.deepEqual([runs.running, runs.remove(ids[0]!), runs.size], [undefined, undefined, 0]);
  });

  test("when the thread is gone: who had begun and who had not, without the guilty and those nobody waits for", () => {
    const { runs, ids, added, begin } = underWay(5);
    begin(ids[2]!, 0);
    added[1]!.cancelled = true;
    added[3]!.cancelled = true;
    assert.deepEqual(runs.split(added[0]), { begun: [added[2]], waiting: [added[4]] });
  });

  test("there are as many as start times can be kept of", () => {
    const { runs } = underWay(maxUnderWay - 1);
    assert.equal(runs.takes, true);
    runs.add(run());
    assert.equal(runs.takes, false);
  });
});
