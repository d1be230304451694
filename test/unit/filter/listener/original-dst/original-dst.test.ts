// The original destination filter where there is no redirect; with one it takes netfilter.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { originalDst } from "../../../../../src/filter/listener/original-dst/original-dst.ts";
import { createListenerFilter } from "../../../../support/listener-filters.ts";
import { connectionInfo } from "../../../../support/listener-models.ts";

suite("original_dst", () => {
  test("changes nothing where the kernel knows no redirect", () => {
    const { filter } = createListenerFilter(originalDst);
    const info = connectionInfo();
    assert.equal(filter.needsBytes, false);
    assert.deepEqual(filter.inspect(info, Buffer.alloc(0), -1), { kind: "continue", consumed: 0 });
    assert.equal(info.localRestored, false);
  });

  test("takes the address of a transparent socket for the destination", () => {
    const { filter } = createListenerFilter(originalDst, {}, true);
    const info = connectionInfo();
    filter.inspect(info, Buffer.alloc(0), -1);
    assert.equal(info.localRestored, true);
    assert.equal(info.local, info.directLocal);
  });
});
