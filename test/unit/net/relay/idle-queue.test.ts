// The queue of idle connections against a plain model of it.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { IdleQueue } from "../../../../src/net/relay/idle-queue.ts";
import type { Idler } from "../../../../src/net/relay/idle-queue.ts";
import { seededRandom } from "../../../support/cluster-models.ts";

interface Connection extends Idler {
  activeMs: number;
  idleTimeoutMs: number;
  ended: boolean;
}

suite("idle queue", () => {
  test("gives each connection when it has been idle for its time, and not before", () => {
    const random = seededRandom(3);
    const queue = new IdleQueue<Connection>();
    const connections: Connection[] = [];
    for (let now = 0; now < 3_000; now++) {
      if (random() < 0.2) {
        const made = { activeMs: now, idleTimeoutMs: 1 + Math.floor(random() * 300), ended: false };
        connections.push(made);
        queue.add(made);
      }
      for (const connection of connections) if (random() < 0.01) connection.activeMs = now;
      const due = new Set(connections.filter((c) => !c.ended && c.activeMs + c.idleTimeoutMs <= now));
      for (let found = queue.expired(now); found; found = queue.expired(now)) {
        assert.ok(due.delete(found), "not due, or given twice");
        found.ended = true;
      }
      assert.equal(due.size, 0, `overlooked at ${now}`);
      const next = Math.min(...connections.filter((c) => !c.ended).map((c) => c.activeMs + c.idleTimeoutMs - now));
      assert.ok(queue.waitMs(now, 500) <= Math.max(0, Math.min(500, next)), "would sleep past a deadline");
    }
  });

  test("a connection without idle timeout is never given", () => {
    const queue = new IdleQueue<Connection>();
    queue.add({ activeMs: 0, idleTimeoutMs: 0, ended: false });
    assert.equal(queue.expired(1e12), undefined);
    assert.equal(queue.waitMs(0, 500), 500);
  });

  test("a connection that ended is dropped", () => {
    const queue = new IdleQueue<Connection>();
    queue.add({ activeMs: 0, idleTimeoutMs: 5, ended: true });
    assert.equal(queue.expired(10), undefined);
    assert.equal(queue.waitMs(10, 500), 500);
  });
});
