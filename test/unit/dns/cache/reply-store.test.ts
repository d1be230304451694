import assert from "node:assert/strict";
import { test } from "node:test";
import { ReplyStore, type StoredReply } from "../../../../src/dns/cache/reply-store.ts";
import type { Gauge } from "../../../../src/telemetry/stats.ts";

function entry(bytes: number, staleUntilMs = 1000): StoredReply {
  const reply = { bytes: Buffer.alloc(bytes), ttlOffsets: new Uint16Array(), code: 0, negative: false, keepable: true, ttlS: 1 };
  return { reply, storedMs: 0, freshUntilMs: staleUntilMs, staleUntilMs, retryMs: 0 };
}

class LastValue implements Gauge {
  value = 0;
  inc(): void {
    this.value++;
  }
  dec(): void {
    this.value--;
  }
  set(value: number): void {
    this.value = value;
  }
}

function makeStore(maxEntries: number, maxBytes: number): { store: ReplyStore; entries: LastValue; bytes: LastValue } {
  const gauges = { entries: new LastValue(), bytes: new LastValue() };
  return { store: new ReplyStore(maxEntries, maxBytes, gauges), ...gauges };
}

test("what was not used for longest goes first when there are too many", () => {
  const { store, entries } = makeStore(2, 1e6);
  store.set("a", entry(1));
  store.set("b", entry(1));
  assert.ok(store.get("a", 0));
  store.set("c", entry(1));
  assert.deepEqual(
    ["a", "b", "c"].map((key) => store.get(key, 0) !== undefined),
    [true, false, true],
  );
  assert.equal(entries.value, 2);
});

test("memory stays within its bound, and one that alone is beyond it is not kept", () => {
  const { store, bytes } = makeStore(1000, 10_000);
  for (let i = 0; i < 200; i++) {
    store.set(`key-${i}`, entry(i * 10));
    assert.ok(store.bytes <= 10_000);
  }
  assert.ok(store.size >= 3 && store.size < 10, String(store.size));
  assert.equal(bytes.value, store.bytes);
  store.set("giant", entry(20_000));
  assert.equal(store.get("giant", 0), undefined);
  for (let i = 0; i < 200; i++) store.delete(`key-${i}`);
  assert.deepEqual([store.size, store.bytes, bytes.value], [0, 0, 0]);
});

test("a reply in place of another costs once, and one that is too old is gone when looked for", () => {
  const { store } = makeStore(10, 1e6);
  store.set("a", entry(100));
  const once = store.bytes;
  store.set("a", entry(100));
  assert.equal(store.bytes, once);
  assert.ok(store.get("a", 999));
  assert.equal(store.get("a", 1000), undefined);
  assert.deepEqual([store.size, store.bytes], [0, 0]);
});
