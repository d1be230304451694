// A throttled response: how much goes on when, and what happens at its end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ResponseThrottle } from "../../../src/http/response-throttle.ts";
import { manualClock } from "../../support/manual-clock.ts";
import { HeaderMap } from "../../../src/wire/header-map.ts";

function throttled(kibPerSecond: number, limitBytes = Infinity) {
  const clock = manualClock();
  const seen: string[] = [];
  const throttle = new ResponseThrottle(clock, kibPerSecond, limitBytes, {
    onThrottledData: (data, end) => void seen.push(`${data.length}${end ? " end" : ""}`),
    onThrottledTrailers: () => void seen.push("trailers"),
    onThrottleDrained: () => void seen.push("drained"),
  });
  return { clock, seen, throttle };
}

test("a slice goes at once, another every 50 ms", () => {
  const { clock, seen, throttle } = throttled(1);
  throttle.write(Buffer.alloc(120), true);
  assert.deepEqual(seen, ["51"]);
  clock.advance(49);
  assert.deepEqual(seen, ["51"]);
  clock.advance(1);
  assert.deepEqual(seen, ["51", "51"]);
  clock.advance(50);
  assert.deepEqual(seen, ["51", "51", "18 end"]);
  assert.equal(clock.pending(), 0);
});

test("slices of a pause are saved up, one second's at most", () => {
  const { clock, seen, throttle } = throttled(1);
  clock.advance(60_000);
  throttle.write(Buffer.alloc(2000), false);
  assert.deepEqual(seen, [`${51 * 20}`]);
});

test("an end without bytes and trailers wait for what is before them", () => {
  const { clock, seen, throttle } = throttled(1);
  throttle.write(Buffer.alloc(60), false);
  throttle.write(Buffer.alloc(0), true);
  clock.advance(50);
  assert.deepEqual(seen, ["51", "9 end"]);
  const other = throttled(1);
  other.throttle.write(Buffer.alloc(60), false);
  other.throttle.writeTrailers(new HeaderMap());
  other.clock.advance(50);
  assert.deepEqual(other.seen, ["51", "9", "trailers"]);
});

test("a write beyond the limit says so, and the sink hears when there is room", () => {
  const { clock, seen, throttle } = throttled(1, 100);
  assert.equal(throttle.write(Buffer.alloc(99), false), true);
  assert.equal(throttle.write(Buffer.alloc(60), false), false);
  clock.advance(50);
  assert.deepEqual(seen, ["51", "51", "drained"]);
});

test("nothing goes on after a stop", () => {
  const { clock, seen, throttle } = throttled(1);
  throttle.write(Buffer.alloc(500), true);
  throttle.stop();
  clock.advance(10_000);
  assert.deepEqual(seen, ["51"]);
  assert.equal(clock.pending(), 0);
});
