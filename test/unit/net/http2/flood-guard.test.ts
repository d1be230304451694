// Envoy's limits, each to the frame.
import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultHttp2Options } from "../../../../src/envoy/http2-options.ts";
import { FloodGuard, type Flood } from "../../../../src/net/http2/flood-guard.ts";

const guard = (): FloodGuard => new FloodGuard(defaultHttp2Options);

/** How many times `what` is allowed. */
function allowed(what: () => Flood | undefined): [number, Flood] {
  for (let i = 0; ; i++) {
    const flood = what();
    if (flood !== undefined) return [i, flood];
  }
}

test("frames without payload, in a row", () => {
  const one = guard();
  assert.equal(one.onPayload(false), undefined);
  assert.equal(one.onPayload(true), undefined);
  assert.deepEqual(
    allowed(() => one.onPayload(false)),
    [1, "inbound_empty_frames_flood"],
  );
});

test("PRIORITY, by streams", () => {
  const one = guard();
  one.onStream();
  assert.deepEqual(
    allowed(() => one.onPriority()),
    [200, "inbound_priority_frames_flood"],
  );
});

test("WINDOW_UPDATE, by streams and DATA sent", () => {
  const one = guard();
  one.onStream();
  one.onDataSent();
  assert.deepEqual(
    allowed(() => one.onWindowUpdate()),
    [5 + 2 * (1 + 10), "inbound_window_update_frames_flood"],
  );
});

test("what waits to be written, control frames and all, until the peer reads", () => {
  const one = guard();
  for (let i = 0; i < 900; i++) assert.equal(one.onControlSent(), undefined);
  one.onDrained();
  assert.deepEqual(
    allowed(() => one.onControlSent()),
    [1000, "outbound_control_flood"],
  );
  const other = guard();
  for (let i = 0; i < 10_000; i++) other.onHeadersSent();
  assert.equal(other.onControlSent(), "outbound_flood");
});
