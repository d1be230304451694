import assert from "node:assert/strict";
import { Socket } from "node:net";
import { test } from "node:test";
import { attemptDelayMs, interleaved, raceAddresses } from "../../../src/upstream/address-race.ts";
import { manualClock, type ManualClock } from "../../support/manual-clock.ts";

const at = (address: string): { readonly address: string; readonly port: number } => ({ address, port: 80 });

for (const [given, order] of [
  ["a:: b:: 1.1.1.1 2.2.2.2", "a:: 1.1.1.1 b:: 2.2.2.2"],
  ["1.1.1.1 a:: b::", "1.1.1.1 a:: b::"],
  ["1.1.1.1 2.2.2.2 3.3.3.3 a::", "1.1.1.1 a:: 2.2.2.2 3.3.3.3"],
  ["1.1.1.1 a:: b:: c:: 2.2.2.2", "1.1.1.1 a:: 2.2.2.2 b:: c::"],
] as const) {
  test(`addresses ${given} are called as ${order}`, () => {
    const sorted = interleaved(given.split(" ").map(at));
    assert.equal(sorted.map(({ address }) => address).join(" "), order);
  });
}

interface Course {
  readonly clock: ManualClock;
  readonly sockets: readonly Socket[];
  readonly events: readonly string[];
  cancel(): void;
}

function race(count: number, broken: readonly number[] = []): Course {
  const clock = manualClock();
  const sockets: Socket[] = [];
  const events: string[] = [];
  const addresses = Array.from({ length: count }, (_, i) => at(`10.0.0.${i}`));
  const open = ({ address }: { readonly address: string }): Socket => {
    events.push(`call ${address.slice(7)}`);
    if (broken.includes(Number(address.slice(7)))) throw new Error(`cannot open ${address.slice(7)}`);
    const socket = new Socket();
    sockets.push(socket);
    return socket;
  };
  const pending = raceAddresses(addresses, open, clock, {
    onConnect: (socket) => events.push(`won ${sockets.indexOf(socket)}`),
    onFailed: (error) => events.push(`failed: ${(error as Error).message}`),
  });
  return { clock, sockets, events, cancel: () => pending.cancel() };
}

test("the second address is called 300 ms later while the first goes on, and the first to connect wins", () => {
  const course = race(2);
  course.clock.advance(attemptDelayMs - 1);
  assert.deepEqual(course.events, ["call 0"]);
  course.clock.advance(1);
  assert.deepEqual(course.events, ["call 0", "call 1"]);
  assert.equal(course.sockets[0]?.destroyed, false);
  course.sockets[0]?.emit("connect");
  course.sockets[1]?.emit("connect");
  assert.deepEqual(course.events, ["call 0", "call 1", "won 0"]);
  assert.deepEqual([course.sockets[0]?.destroyed, course.sockets[1]?.destroyed], [false, true]);
});

test("a refusal calls the next address at once, and the first error is told when all have failed", () => {
  const course = race(3);
  course.sockets[0]?.emit("error", new Error("refused 0"));
  assert.deepEqual(course.events, ["call 0", "call 1"]);
  course.clock.advance(attemptDelayMs);
  course.sockets[2]?.emit("error", new Error("refused 2"));
  assert.deepEqual(course.events, ["call 0", "call 1", "call 2"], "the second is still under way");
  course.sockets[1]?.emit("error", new Error("refused 1"));
  assert.deepEqual(course.events.slice(3), ["failed: refused 0"]);
});

test("an address that cannot be called at all is a refusal", async () => {
  const course = race(2, [0, 1]);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(course.events, ["call 0", "call 1", "failed: cannot open 0"]);
});

test("a race that is given up calls nobody any more and tells nobody", () => {
  const course = race(2);
  course.cancel();
  course.clock.advance(attemptDelayMs);
  course.sockets[0]?.emit("connect");
  assert.deepEqual([course.events, course.sockets[0]?.destroyed], [["call 0"], true]);
});
