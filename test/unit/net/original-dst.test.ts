// Connections without a redirect; with one it takes netfilter.
import assert from "node:assert/strict";
import { test } from "node:test";
import { originalDestination } from "../../../src/net/original-dst.ts";

test("a descriptor that is no socket has no original destination", () => {
  assert.equal(originalDestination(-1, 4), undefined);
  assert.equal(originalDestination(0, 6), undefined);
});
