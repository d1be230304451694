// When a client that resets its streams is taken for one that abuses them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PrematureResets } from "../../../../src/http/h2/premature-resets.ts";

/** Which stream ends the connection; -1: none of 5000. */
function endsAt(unansweredMs: (i: number) => number | undefined): number {
  const resets = new PrematureResets();
  for (let i = 1; i <= 5000; i++) if (resets.onClosed(unansweredMs(i))) return i;
  return -1;
}

const cases: readonly (readonly [string, (i: number) => number | undefined, number])[] = [
  ["every stream reset at once", () => 1, 250],
  ["every other one", (i) => (i % 2 === 0 ? 1 : undefined), 500],
  ["every third", (i) => (i % 3 === 0 ? 1 : undefined), -1],
  ["all, but after a second", () => 1000, -1],
  ["none", () => undefined, -1],
];
for (const [title, unansweredMs, expected] of cases) test(title, () => assert.equal(endsAt(unansweredMs), expected));
