import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { recordOf } from "../streams.ts";
import { LogSinks } from "../../../../src/telemetry/access-log/sink.ts";
import { manualClock } from "../../../support/manual-clock.ts";
import { recordingStats } from "../../../support/recording-stats.ts";
import { silentLogger } from "../../../support/silent-logger.ts";

test("a record that came during a write is written when that write is done, though its timer fired meanwhile", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "isthmus-sink-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const clock = manualClock();
  const sinks = new LogSinks({ clock, stats: recordingStats(), logger: silentLogger, flushIntervalMs: 1 });
  t.after(() => sinks.closeSync());
  const file = join(folder, "access.log");
  const sink = sinks.get(file);
  sink.append(recordOf("first\n"));
  clock.advance(1);
  // The first write is under way until the event loop turns.
  sink.append(recordOf("second\n"));
  clock.advance(1);
  for (let turns = 0; turns < 1000; turns++) {
    if ((await readFile(file, "utf8")) === "first\nsecond\n") return;
  }
  assert.equal(await readFile(file, "utf8"), "first\nsecond\n");
});
