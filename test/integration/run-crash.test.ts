// A worker thread that ends while it serves: the others go on, and its successor serves the same port again.
import assert from "node:assert/strict";
import { join } from "node:path";
import { suite, test } from "node:test";
import { BroadcastChannel } from "node:worker_threads";
import { systemClock } from "../../src/clock.ts";
import { filterSupport } from "../../src/filter/registry.ts";
import { createBootstrapSource } from "../../src/proxy/bootstrap-source.ts";
import { diffSnapshots } from "../../src/snapshot/diff.ts";
import { buildSnapshot } from "../../src/snapshot/snapshot.ts";
import type { Logger } from "../../src/telemetry/logger.ts";
import { StatsSlab } from "../../src/telemetry/stats-slab.ts";
import { StatsReader } from "../../src/telemetry/stats/stats-reader.ts";
import { WorkerPool } from "../../src/worker/pool.ts";
import { exchange, startEcho, temporaryFolder, writeTcpBootstrap } from "./run-process.ts";

const quiet: Logger = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined, child: () => quiet };

suite("worker crash", { timeout: 60_000 }, () => {
  for (const concurrency of [1, 2]) {
    test(`${concurrency} of ${concurrency} workers crash and are replaced on the same port`, async (t) => {
      const folder = temporaryFolder(t);
      const file = join(folder, "bootstrap.yaml");
      writeTcpBootstrap(file, { upstream: await startEcho(t), log: join(folder, "log") });
      const loaded = await createBootstrapSource({ file, environment: {} }).load(undefined);
      assert.ok(loaded.ok, JSON.stringify(loaded));
      const full = diffSnapshots(undefined, buildSnapshot(loaded.config.resources, filterSupport).snapshot);
      const reader = new StatsReader();
      const slab = new StatsSlab((announcement) => reader.add("main", announcement));
      const pool = new WorkerPool({
        concurrency,
        settings: { logLevel: "off", logStyle: "text", accessLogFlushMs: 10, localAddress: "127.0.0.1" },
        clock: systemClock,
        logger: quiet,
        reader,
        stats: slab.root,
        entry: new URL("./crashing-worker.ts", import.meta.url),
      });
      t.after(() => pool.stop());
      slab.flush();
      assert.deepEqual(await pool.publish(full, () => full), []);
      const [{ addresses: [{ port } = { port: 0 }] } = { addresses: [] }] = await pool.listeners();
      assert.equal(await exchange(port, "before"), "before");

      const channel = new BroadcastChannel("crash");
      t.after(() => channel.close());
      channel.postMessage("throw");
      await until(() => reader.value("server.uncaught_exceptions") === 2 * concurrency, "faults are counted");
      assert.equal(reader.value("server.worker_restarts"), 0, "a fault in a callback does not end the thread");

      channel.postMessage("now");
      await until(() => reader.value("server.worker_restarts") === concurrency, "crash");
      await until(async () => (await pool.listeners()).some(({ addresses }) => addresses[0]?.port === port), "restart");
      await until(() => reader.value("server.concurrency") === concurrency, "all back");
      for (let i = 0; i < 4; i++) assert.equal(await exchange(port, `after ${i}`), `after ${i}`);
      await until(() => reader.value("tcp.t.downstream_cx_total") === 5, "counts of both lives");
    });
  }
});

async function until(holds: () => Promise<boolean> | boolean, what: string): Promise<void> {
  for (const end = Date.now() + 20_000; !(await holds());) {
    assert.ok(Date.now() < end, `timed out: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
