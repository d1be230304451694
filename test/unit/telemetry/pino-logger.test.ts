// The process log: one line a record, in two styles, with a level that can change.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { createProcessLogger } from "../../../src/telemetry/pino-logger.ts";
import type { LogStyle } from "../../../src/telemetry/pino-logger.ts";

function capture(style: LogStyle): { lines: string[]; log: ReturnType<typeof createProcessLogger> } {
  const lines: string[] = [];
  return { lines, log: createProcessLogger({ style, write: (line) => lines.push(line), fields: { worker: 1 } }) };
}

suite("process log", () => {
  test("text: stamp, level, message, fields; nothing breaks the line", () => {
    const { lines, log } = capture("text");
    log.warn("a\nb", { path: "/x", why: "two words", list: ["a"], text: "q\n" });
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, /^\d{4}-\d\d-\d\dT[\d:.]+Z warning a\\nb worker=1 path=\/x why="two words" list=\["a"\] text="q\\n"\n$/);
  });

  test("JSON: one object a line", () => {
    const { lines, log } = capture("json");
    log.child({ a: 1 }).child({ b: 2 }).error("m", { c: 3 });
    const { time, ...rest } = JSON.parse(lines[0]!) as Record<string, unknown>;
    assert.match(String(time), /Z$/);
    assert.deepEqual(rest, { level: "error", worker: 1, a: 1, b: 2, c: 3, msg: "m" });
  });

  test("a change of level reaches children made before", () => {
    const { lines, log } = capture("text");
    const child = log.child({ a: 1 });
    child.debug("not yet");
    log.setLevel("debug");
    child.debug("now");
    log.setLevel("off");
    child.error("never");
    assert.equal(log.level, "off");
    assert.equal(lines.length, 1);
    assert.match(lines[0]!, / debug now /);
  });
});
