// What scripts say: a few lines a second, the others counted.
import assert from "node:assert/strict";
import { test } from "node:test";
import { QuietLog } from "../../../../../src/filter/http/script/quiet-log.ts";
import type { LogFields, Logger } from "../../../../../src/telemetry/logger.ts";
import { HandClock } from "../stand-ins.ts";

test("ten lines a second are written, and the next one says how many were left out", () => {
  const lines: LogFields[] = [];
  const note = (_message: string, fields: LogFields = {}): void => void lines.push(fields);
  const clock = new HandClock();
  const log = new QuietLog(clock, { warn: note, info: note } as unknown as Logger);
  for (let i = 0; i < 15; i++) log.warn("failed", `n${i}`);
  assert.deepEqual(lines.at(-1), { problem: "n9" });
  clock.advance(1_000);
  log.info("says", "a\n\nb\n");
  assert.deepEqual(lines.slice(10), [{ text: "a", leftOut: 5 }, { text: "b" }]);
  log.warn("failed", "x".repeat(5_000));
  assert.equal(String(lines.at(-1)!["problem"]).length, 2_000);
});
