import assert from "node:assert/strict";
import { test } from "node:test";
import { Silence } from "../../../../src/dns/forward/silence.ts";

test("after one question without a reply the others do not wait, until one finds out again or a server replies", () => {
  const silence = new Silence();
  assert.equal(silence.holds(0, 4500), false);
  silence.lasted(0, 4500);
  assert.equal(silence.holds(4500, 4500), true);
  silence.lasted(4500, 4700);
  assert.equal(silence.holds(14_499, 4500), true);
  assert.equal(silence.holds(14_500, 4500), false);
  assert.equal(silence.holds(14_501, 4500), true);
  silence.broken(14_600);
  assert.equal(silence.holds(14_600, 4500), false);
});

test("a question without a reply says nothing about servers that replied to another one meanwhile", () => {
  const silence = new Silence();
  silence.broken(100);
  silence.lasted(50, 4550);
  assert.equal(silence.holds(4550, 4500), false);
  silence.lasted(101, 4601);
  assert.equal(silence.holds(4601, 4500), true);
});
