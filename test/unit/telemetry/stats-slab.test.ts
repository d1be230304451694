// Instruments of several slabs, read as one.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { Worker } from "node:worker_threads";
import { once } from "node:events";
import { StatsSlab } from "../../../src/telemetry/stats-slab.ts";
import type { StatsAnnouncement } from "../../../src/telemetry/stats-slab.ts";
import { StatsReader } from "../../../src/telemetry/stats/stats-reader.ts";

/** A slab whose announcements reach the reader at once. */
function slab(reader: StatsReader, owner: string): StatsSlab {
  return new StatsSlab((announcement) => reader.add(owner, announcement));
}

suite("stats slab", () => {
  test("the same name gives the same instrument, through any scope", () => {
    const stats = new StatsSlab(() => undefined).root;
    assert.equal(stats.counter("cluster.a.upstream_cx_total"), stats.scope("cluster").scope("a").counter("upstream_cx_total"));
    assert.notEqual(stats.counter("a"), stats.gauge("a") as unknown);
    assert.equal(stats.scope("").counter("a"), stats.counter("a"));
  });

  test("announces the names of one turn together", async () => {
    const announcements: StatsAnnouncement[] = [];
    const { root } = new StatsSlab((announcement) => announcements.push(announcement));
    root.counter("a");
    root.gauge("b");
    root.counter("a");
    assert.equal(announcements.length, 0);
    await Promise.resolve();
    assert.deepEqual(
      announcements.map(({ slots }) => slots.map(({ kind, name }) => `${kind} ${name}`)),
      [["counter a", "gauge b"]],
    );
    assert.equal(announcements[0]?.chunks.length, 1);
    root.counter("c");
    await Promise.resolve();
    assert.equal(announcements[1]?.chunks.length, 0);
  });

  test("grows by chunks, and every instrument keeps its slot", () => {
    const reader = new StatsReader();
    const one = slab(reader, "w");
    for (let i = 0; i < 2000; i++) one.root.histogram(`h${i}`).record(i);
    one.root.counter("last").add(7);
    one.flush();
    assert.equal(reader.value("h0"), 1);
    assert.equal(reader.value("h1999"), 1);
    assert.equal(reader.value("last"), 7);
  });

  test("is read across threads without a message per increment", async () => {
    const url = new URL("../../../src/telemetry/stats-slab.ts", import.meta.url);
    const worker = new Worker(
      `const { parentPort } = require("node:worker_threads");
       import(${JSON.stringify(url.href)}).then(({ StatsSlab }) => {
         const counter = new StatsSlab((a) => parentPort.postMessage(a)).root.counter("n");
         parentPort.on("message", (times) => { for (let i = 0; i < times; i++) counter.inc(); parentPort.postMessage("done"); });
       });`,
      { eval: true },
    );
    const reader = new StatsReader();
    const [announcement] = (await once(worker, "message")) as [StatsAnnouncement];
    reader.add("w", announcement);
    worker.postMessage(1000);
    await once(worker, "message");
    assert.equal(reader.value("n"), 1000);
    await worker.terminate();
  });
});

suite("stats reader", () => {
  test("sums workers; figures about the shared configuration count once", () => {
    const reader = new StatsReader();
    for (const [owner, requests] of [
      ["w0", 3],
      ["w1", 4],
    ] as const) {
      const one = slab(reader, owner);
      one.root.counter("http.a.downstream_rq_total").add(requests);
      one.root.gauge("listener.x.downstream_cx_active").set(requests);
      one.root.gauge("cluster.c.membership_total").set(5);
      one.root.histogram("http.a.downstream_rq_time").record(requests);
      one.flush();
    }
    assert.equal(reader.value("http.a.downstream_rq_total"), 7);
    assert.equal(reader.value("listener.x.downstream_cx_active"), 7);
    assert.equal(reader.value("cluster.c.membership_total"), 5);
    assert.equal(reader.value("http.a.downstream_rq_time"), 2);
    assert.equal(reader.value("nothing"), 0);
  });

  test("a thread that is gone keeps what it counted, not its gauges", () => {
    const reader = new StatsReader();
    const one = slab(reader, "w0.0");
    one.root.counter("n").add(5);
    one.root.gauge("g").set(5);
    one.root.histogram("h").record(3);
    one.flush();
    reader.retire("w0.0");
    const two = slab(reader, "w0.1");
    two.root.counter("n").inc();
    two.root.gauge("g").set(1);
    two.root.histogram("h").record(3);
    two.flush();
    assert.deepEqual([reader.value("n"), reader.value("g"), reader.value("h")], [6, 1, 2]);
  });

  test("a reset starts counters from zero and leaves gauges", () => {
    const reader = new StatsReader();
    const one = slab(reader, "w");
    const counter = one.root.counter("n");
    counter.add(5);
    one.root.gauge("g").set(2);
    one.flush();
    reader.resetCounters();
    assert.deepEqual([reader.value("n"), reader.value("g")], [0, 2]);
    counter.inc();
    assert.equal(reader.value("n"), 1);
  });

  test("tells what was never written from what is zero again", () => {
    const reader = new StatsReader();
    const one = slab(reader, "w");
    one.root.gauge("back").inc();
    one.root.gauge("back").dec();
    one.root.gauge("zero").set(0);
    for (const make of ["gauge", "counter", "histogram"] as const) one.root[make](`unused_${make}`);
    one.flush();
    assert.deepEqual(
      reader.list().map(({ name, used }) => [name, used]),
      [
        ["back", true],
        ["unused_counter", false],
        ["unused_gauge", false],
        ["unused_histogram", false],
        ["zero", true],
      ],
    );
    for (const stat of reader.list()) assert.ok(stat.kind === "histogram" || Object.is(stat.value, 0), stat.name);
  });
});
