import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { Keepalive, type KeepaliveOptions } from "../../../../src/net/http2/keepalive.ts";
import { manualClock } from "../../../support/manual-clock.ts";

const seconds = 1000;
const everyTen: KeepaliveOptions = {
  keepaliveIntervalMs: 10 * seconds,
  keepaliveTimeoutMs: 2 * seconds,
  keepaliveJitter: 0,
  keepaliveIdleMs: 0,
};

function start(options: KeepaliveOptions, random = 0) {
  const clock = manualClock();
  const seen = { pings: 0, timeouts: 0 };
  const owner = { sendPing: () => void seen.pings++, onKeepaliveTimeout: () => void seen.timeouts++ };
  return { clock, seen, keepalive: new Keepalive(options, owner, clock, () => random) };
}

suite("keepalive", () => {
  test("sends a PING an interval after the connection began, and after each answer", () => {
    const { clock, seen, keepalive } = start(everyTen);
    clock.advance(9.9 * seconds);
    assert.equal(seen.pings, 0);
    clock.advance(0.1 * seconds);
    assert.equal(seen.pings, 1);
    clock.advance(1 * seconds);
    keepalive.onAnswer();
    clock.advance(10 * seconds);
    assert.deepEqual(seen, { pings: 2, timeouts: 0 });
  });

  test("gives the connection up when nothing comes within the timeout", () => {
    const { clock, seen } = start(everyTen);
    clock.advance(12 * seconds);
    assert.deepEqual(seen, { pings: 1, timeouts: 1 });
  });

  test("waits on while other bytes come", () => {
    const { clock, seen, keepalive } = start(everyTen);
    clock.advance(10 * seconds);
    for (let i = 0; i < 10; i++) {
      clock.advance(1.5 * seconds);
      keepalive.onRead();
    }
    assert.deepEqual(seen, { pings: 1, timeouts: 0 });
    clock.advance(2 * seconds);
    assert.equal(seen.timeouts, 1);
  });

  test("adds the jitter that is drawn", () => {
    const { clock, seen } = start({ ...everyTen, keepaliveJitter: 0.5 }, 0.5);
    clock.advance(12.4 * seconds);
    assert.equal(seen.pings, 0);
    clock.advance(0.2 * seconds);
    assert.equal(seen.pings, 1);
  });

  test("sends a PING ahead of a request only after silence", () => {
    const { clock, seen, keepalive } = start({ ...everyTen, keepaliveIntervalMs: 0, keepaliveIdleMs: 5 * seconds });
    clock.advance(5 * seconds);
    keepalive.onRequest();
    assert.equal(seen.pings, 0);
    clock.advance(1);
    keepalive.onRequest();
    keepalive.onRequest();
    assert.equal(seen.pings, 1);
    keepalive.onRead();
    keepalive.onAnswer();
    clock.advance(3 * seconds);
    keepalive.onRequest();
    assert.deepEqual(seen, { pings: 1, timeouts: 0 });
  });

  test("leaves no timer behind", () => {
    const { clock, seen, keepalive } = start(everyTen);
    clock.advance(10 * seconds);
    keepalive.stop();
    assert.equal(clock.pending(), 0);
    clock.advance(60 * seconds);
    assert.deepEqual(seen, { pings: 1, timeouts: 0 });
  });
});
