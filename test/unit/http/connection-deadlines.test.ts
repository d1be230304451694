// The deadlines of a connection: when each of them begins, and what is left of them when the connection is gone.
import assert from "node:assert/strict";
import { Socket } from "node:net";
import { suite, test } from "node:test";
import { ConnectionDeadlines } from "../../../src/http/connection-deadlines.ts";
import { manualClock } from "../../support/manual-clock.ts";

type Manager = ConstructorParameters<typeof ConnectionDeadlines>[1];

function connection(idleTimeoutMs: number, maxConnectionDurationMs: number) {
  const clock = manualClock();
  const calls: string[] = [];
  const note = (name: string) => (): void => void calls.push(name);
  const stats = { downstreamCxMaxDurationReached: { inc: note("counted") } };
  const manager = { config: { idleTimeoutMs, maxConnectionDurationMs }, clock, stats } as unknown as Manager;
  const owner = { onIdle: note("idle"), onHeadTimeout: note("head"), onCloseTimer: note("close"), drain: note("drain") };
  const socket = new Socket();
  const takeOver = (drain: () => void): unknown => new ConnectionDeadlines(socket, manager, { ...owner, drain });
  return { clock, calls, socket, note, takeOver, deadlines: new ConnectionDeadlines(socket, manager, owner) };
}

suite("deadlines of a connection", () => {
  test("idle begins at once, and again when it is armed", () => {
    const { clock, calls, deadlines } = connection(1000, 0);
    clock.advance(999);
    assert.deepEqual(calls, []);
    deadlines.armIdle();
    clock.advance(999);
    assert.deepEqual(calls, []);
    clock.advance(1);
    assert.deepEqual(calls, ["idle"]);
  });

  test("0 is never, for idle and for the duration", () => {
    const { clock, calls, deadlines } = connection(0, 0);
    deadlines.armIdle();
    clock.advance(1e9);
    assert.deepEqual(calls, []);
  });

  test("the longest duration is counted and drains", () => {
    const { clock, calls } = connection(0, 5000);
    clock.advance(5000);
    assert.deepEqual(calls, ["counted", "drain"]);
  });

  test("a connection that another codec took over has one longest duration", () => {
    const { clock, calls, note, takeOver, deadlines } = connection(0, 5000);
    deadlines.dispose();
    takeOver(note("drain of the other"));
    clock.advance(1e9);
    assert.deepEqual(calls, ["counted", "drain of the other"]);
  });

  test("nothing is left when the connection is gone; its duration ends with the socket", async () => {
    const { clock, calls, deadlines, socket } = connection(1000, 5000);
    deadlines.head.set(10);
    deadlines.close.set(20);
    deadlines.dispose();
    assert.equal(clock.pending(), 1);
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.destroy();
    await closed;
    assert.equal(clock.pending(), 0);
    clock.advance(1e9);
    assert.deepEqual(calls, []);
  });
});
