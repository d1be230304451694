// The pool over real threads that speak the protocol: publishing, crashes, views.
import assert from "node:assert/strict";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import type { Clock } from "../../../src/clock.ts";
import type { Listener } from "../../../src/envoy/listener/listener.ts";
import type { SnapshotUpdate } from "../../../src/snapshot/update.ts";
import type { Logger } from "../../../src/telemetry/logger.ts";
import { StatsSlab } from "../../../src/telemetry/stats-slab.ts";
import { StatsReader } from "../../../src/telemetry/stats/stats-reader.ts";
import { WorkerPool } from "../../../src/worker/pool.ts";
import { cluster } from "../../support/cluster-models.ts";

const nothing = { set: [], removed: [] };

function listener(name: string, port = 0, bindToPort = false): Listener {
  return {
    name,
    addresses: [{ address: "127.0.0.1", port }],
    bindToPort,
    useOriginalDst: false,
    filterChains: [],
    listenerFilters: [],
    listenerFiltersTimeoutMs: 0,
    continueOnListenerFiltersTimeout: false,
    transparent: false,
    freebind: false,
    trafficDirection: "UNSPECIFIED",
    perConnectionBufferLimitBytes: 0,
    tcpBacklogSize: 0,
    maxConnections: 0,
    statPrefix: "",
    accessLog: [],
    metadata: {},
  };
}

function update(...listeners: readonly Listener[]): SnapshotUpdate {
  const set = listeners.map((value) => ({ name: value.name, version: "1", value }));
  return {
    version: 1,
    secrets: nothing,
    endpoints: nothing,
    clusters: nothing,
    routes: { ...nothing, patched: [] },
    listeners: { set, removed: [] },
  };
}

interface Fixture {
  readonly pool: WorkerPool;
  readonly reader: StatsReader;
  readonly errors: string[];
}

function start(t: TestContext, concurrency: number, clock: Clock = systemClock, entry = "./protocol-worker.ts"): Fixture {
  const errors: string[] = [];
  const logger: Logger = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: (message) => void errors.push(message),
    child: () => logger,
  };
  const reader = new StatsReader();
  const main = new StatsSlab((announcement) => reader.add("main", announcement));
  const pool = new WorkerPool({
    concurrency,
    settings: { logLevel: "off", logStyle: "text", accessLogFlushMs: 100, localAddress: "127.0.0.1" },
    clock,
    logger,
    reader,
    stats: main.root,
    entry: new URL(entry, import.meta.url),
  });
  main.flush();
  t.after(() => pool.stop());
  return { pool, reader, errors };
}

async function until(holds: () => boolean): Promise<void> {
  for (const end = Date.now() + 10_000; !holds();) {
    assert.ok(Date.now() < end, "timed out");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

suite("worker pool", { concurrency: false }, () => {
  test("every worker gets a publish, and the ports worker 0 was given", async (t) => {
    const { pool, reader } = start(t, 2);
    assert.deepEqual(await pool.publish(update(listener("a")), () => update(listener("a"))), []);
    assert.equal(reader.value("applied"), 2);
    assert.deepEqual(await pool.listeners(), [{ name: "a", addresses: [{ address: "127.0.0.1", port: 40_000 }] }]);
    const [cluster] = await pool.clusters();
    assert.equal(cluster?.hosts[0]?.rqActive, 3, "requests in flight are summed");
    assert.equal(reader.value("server.concurrency"), 2);
  });

  test("a big publish comes in parts, to a thread that starts later as well", async (t) => {
    const { pool, reader } = start(t, 1);
    const set = Array.from({ length: 2_500 }, (_, index) => ({ name: `c${index}`, version: "1", value: cluster(`c${index}`) }));
    const big = { ...update(listener("a")), clusters: { set, removed: [] } };
    await pool.publish(big, () => big);
    assert.equal(reader.value("clusters_ahead"), 2_500);
    await pool.publish(update(listener("crash")), () => big);
    await until(() => reader.value("clusters_ahead") === 5_000);
  });

  test("a listener that fails is reported once", async (t) => {
    const { pool } = start(t, 2);
    assert.deepEqual(await pool.publish(update(listener("a"), listener("fail")), () => update()), [{ name: "fail", message: "failed" }]);
  });

  test("an address that somebody else owns is refused before workers share it", async (t) => {
    const owner = createServer().listen(0, "127.0.0.1");
    await once(owner, "listening");
    t.after(() => owner.close());
    const { port } = owner.address() as AddressInfo;
    const { pool } = start(t, 2);
    const wanted = update(listener("taken", port, true), listener("free", 0, true));
    const [failure, ...others] = await pool.publish(wanted, () => wanted);
    assert.equal(others.length, 0);
    assert.equal(failure?.name, "taken");
    assert.match(failure?.message ?? "", /already in use/);
    assert.deepEqual(
      (await pool.listeners()).map(({ name }) => name),
      ["free"],
    );
  });

  test("a crashed worker comes back with the whole snapshot, the known ports, and its counts kept", async (t) => {
    const { pool, reader, errors } = start(t, 2);
    const full = update(listener("a"));
    await pool.publish(full, () => full);
    // Both threads die of this publish; the snapshot in force stays the one without it.
    await pool.publish(update(listener("crash")), () => full);
    await until(() => reader.value("server.worker_restarts") === 2 && reader.value("applied") === 6);
    assert.deepEqual(await pool.listeners(), [{ name: "a", addresses: [{ address: "127.0.0.1", port: 40_000 }] }]);
    assert.deepEqual((await pool.clusters())[0]?.hosts[0]?.hostname, "worker 0 of 40000");
    assert.equal(reader.value("listener.x.downstream_cx_active"), 2, "gauges of the dead threads are gone");
    assert.equal(reader.value("server.concurrency"), 2);
    assert.ok(errors.includes("a worker crashed, another takes its place"));
  });

  test("a worker started while draining is told so", async (t) => {
    const { pool, reader } = start(t, 1);
    pool.drain();
    await pool.publish(update(listener("crash")), () => update());
    await until(() => reader.value("server.worker_restarts") === 1 && reader.value("heard.drain") === 2);
  });

  test("a worker that does not answer delays a publish no longer than the deadline", async (t) => {
    // Once a worker is up, long deadlines pass at once; nothing else of the clock is used here.
    let hurry = false;
    const clock: Clock = { ...systemClock, after: (ms, fire) => systemClock.after(hurry && ms > 10_000 ? 50 : ms, fire) };
    const { pool, errors } = start(t, 1, clock);
    assert.deepEqual(await pool.publish(update(listener("fine")), () => update()), []);
    hurry = true;
    assert.deepEqual(await pool.publish(update(listener("hang")), () => update()), []);
    assert.deepEqual(errors, ["a worker did not take the configuration"]);
    assert.deepEqual(await pool.publish(update(listener("odd")), () => update()), []);
    assert.equal(errors.length, 2);
  });

  test("publishes do not overlap", async (t) => {
    const { pool, reader } = start(t, 2);
    const done: number[] = [];
    await Promise.all([1, 2, 3].map((n) => pool.publish(update(listener(`l${n}`)), () => update()).then(() => done.push(n))));
    assert.deepEqual(done, [1, 2, 3]);
    assert.equal(reader.value("applied"), 6);
    assert.equal((await pool.listeners()).length, 3);
  });

  test("notices reach every worker, and answers of a stopped pool are empty", async (t) => {
    const { pool, reader } = start(t, 2);
    await pool.publish(update(), () => update());
    pool.setLogLevel("debug");
    pool.reopenLogs();
    pool.drain();
    await until(() => ["setLogLevel", "reopenLogs", "drain"].every((kind) => reader.value(`heard.${kind}`) === 2));
    await pool.stopAccepting("all");
    await pool.stop();
    assert.deepEqual(await pool.clusters(), []);
    assert.equal(reader.value("server.worker_restarts"), 0);
  });

  test("a first publish that no thread takes is a failure, so that nothing is called ready", async (t) => {
    const { pool } = start(t, 2, systemClock, "./missing-worker.ts");
    const failures = await pool.publish(update(listener("main")), () => update());
    assert.deepEqual(
      failures.map(({ name }) => name),
      ["workers"],
    );
  });
});
