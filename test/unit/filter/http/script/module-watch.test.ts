// Changes of a module's files: reported once, when they have settled.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../../../../../src/clock.ts";
import { ModuleWatch } from "../../../../../src/filter/http/script/module-watch.ts";

/** A clock whose waits are over at once, and which can be asked to tell of them: each look at the files ends with one. */
function hastyClock() {
  let waits = 0;
  let reached: (() => void) | undefined;
  let wanted = Infinity;
  const after = (_ms: number, fire: () => void) => {
    if (++waits >= wanted) reached?.();
    return systemClock.after(1, fire);
  };
  const looks = (count: number): Promise<void> =>
    new Promise((resolve) => {
      wanted = waits + count;
      reached = resolve;
    });
  return { clock: { ...systemClock, after }, looks };
}

test("a file that changes, appears or goes is a change, and one that stays is none", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "isthmus-watch-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const [one, two] = [join(folder, "one.ts"), join(folder, "two.ts")];
  writeFileSync(one, "1");
  const { clock, looks } = hastyClock();
  let changes = 0;
  let heard: () => void = () => undefined;
  const watch = new ModuleWatch([one], clock, () => {
    changes++;
    heard();
  });
  t.after(() => watch.close());
  const change = async (make: () => void): Promise<void> => {
    const next = new Promise<void>((resolve) => (heard = resolve));
    make();
    await next;
  };
  // The state of the start counts as known from the first look on.
  await looks(3);
  await change(() => writeFileSync(one, "22"));
  watch.add([two]);
  await looks(3);
  await change(() => writeFileSync(two, "1"));
  await change(() => rmSync(two));
  await looks(3);
  assert.equal(changes, 3);
});
