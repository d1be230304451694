import assert from "node:assert/strict";
import { test } from "node:test";
import { NameServerState } from "../../../../src/dns/forward/name-server-state.ts";

const server = { host: "192.0.2.1", port: 53 };

test("one failure is forgiven, more send a server to the end for longer and longer, a reply brings it back", () => {
  const state = new NameServerState(server);
  state.failed(0);
  assert.equal(state.backingOff(0), false);
  for (const [failedAtMs, backMs] of [
    [0, 1000],
    [1000, 2000],
    [3000, 4000],
    [7000, 8000],
    [15_000, 16_000],
    [31_000, 30_000],
    [61_000, 30_000],
  ] as const) {
    state.failed(failedAtMs);
    assert.equal(state.backingOff(failedAtMs + backMs - 1), true, `${failedAtMs}`);
    assert.equal(state.backingOff(failedAtMs + backMs), false, `${failedAtMs}`);
  }
  assert.deepEqual(state.view(61_000), { ...server, healthy: false, failures: 8 });
  state.replied();
  assert.deepEqual(state.view(61_000), { ...server, healthy: true, failures: 0 });
});

test("when a back-off ends one query finds out, the others still go elsewhere", () => {
  const state = new NameServerState(server);
  state.probing(0, 2000);
  assert.equal(state.backingOff(0), false);
  state.failed(0);
  state.failed(0);
  assert.equal(state.backingOff(1000), false);
  state.probing(1000, 2000);
  assert.equal(state.backingOff(2999), true);
  assert.equal(state.backingOff(3000), false);
});

test("what a server cannot do is held against it for ten minutes", () => {
  const state = new NameServerState(server);
  assert.deepEqual([state.knowsEdns(0), state.keepsCase(0)], [true, true]);
  state.refusedEdns(0);
  assert.deepEqual([state.knowsEdns(599_999), state.keepsCase(0)], [false, true]);
  assert.equal(state.knowsEdns(600_000), true);
  state.foldedCase(0);
  assert.deepEqual([state.keepsCase(599_999), state.keepsCase(600_000)], [false, true]);
});

test("no two servers see the same client cookie", () => {
  assert.equal(new NameServerState(server).clientCookie.length, 8);
  assert.notDeepEqual(new NameServerState(server).clientCookie, new NameServerState(server).clientCookie);
});
