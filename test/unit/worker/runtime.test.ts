// What a worker does with one update after the other, by a clock that does not move by itself.
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import type { SnapshotUpdate } from "../../../src/snapshot/update.ts";
import type { HostLookup } from "../../../src/upstream/discovery/host-lookup.ts";
import { createWorkerRuntime } from "../../../src/worker/runtime.ts";
import { removing, setting, staticCluster, unchanged } from "../../support/cluster-models.ts";
import { manualClock } from "../../support/manual-clock.ts";
import { recordingStats } from "../../support/recording-stats.ts";
import { silentLogger } from "../../support/silent-logger.ts";
import { workerSettings } from "../../support/worker-settings.ts";

const dnsCluster = (name: string) => staticCluster(name, [`${name}.example:80`], { type: "STRICT_DNS" });
const deadResolver: HostLookup = () => new Promise(() => {});

function start(t: TestContext, lookupHost: HostLookup) {
  const clock = manualClock();
  const runtime = createWorkerRuntime(workerSettings, recordingStats(), silentLogger, clock, lookupHost);
  t.after(() => runtime.stop());
  let version = 0;
  return {
    clock,
    runtime,
    applyAhead: (clusters: SnapshotUpdate["clusters"]) => runtime.applyAhead({ secrets: unchanged, endpoints: unchanged, clusters }),
    apply: (clusters: SnapshotUpdate["clusters"]) =>
      runtime.apply({
        version: ++version,
        secrets: unchanged,
        endpoints: unchanged,
        routes: { ...unchanged, patched: [] },
        listeners: unchanged,
        clusters,
      }),
    names: () => runtime.clusters().map(({ name }) => name),
  };
}

async function isDone(work: Promise<unknown>): Promise<boolean> {
  let done = false;
  void work.then(() => (done = true));
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => void setImmediate(resolve));
  return done;
}

suite("an update", () => {
  test("that brings a name nobody resolves waits a moment; the ones after it do not wait at all", async (t) => {
    const { clock, apply, names } = start(t, deadResolver);
    await apply(setting(staticCluster("a", ["10.0.0.1:80"])));
    const hanging = apply(setting(dnsCluster("dead")));
    assert.equal(await isDone(hanging), false);
    clock.advance(250);
    assert.equal(await isDone(hanging), true);
    assert.equal(await isDone(apply(setting(staticCluster("b", ["10.0.0.2:80"])))), true);
    assert.equal(await isDone(apply(removing("a"))), true);
    assert.deepEqual(names().toSorted(), ["b", "dead"]);
  });

  test("at the start waits longer, for there is nothing yet that could be delayed", async (t) => {
    const { clock, apply } = start(t, deadResolver);
    const first = apply(setting(dnsCluster("dead")));
    clock.advance(4_999);
    assert.equal(await isDone(first), false);
    clock.advance(1);
    assert.equal(await isDone(first), true);
  });

  test("is answered for when the clusters that came ahead of it are warm as well", async (t) => {
    const { clock, apply, applyAhead, names } = start(t, deadResolver);
    applyAhead(setting(dnsCluster("dead")));
    assert.deepEqual(names(), ["dead"]);
    const whole = apply(setting(staticCluster("b", ["10.0.0.2:80"])));
    assert.equal(await isDone(whole), false);
    clock.advance(5_000);
    assert.equal(await isDone(whole), true);
    assert.equal(await isDone(apply(setting(staticCluster("c", ["10.0.0.3:80"])))), true);
  });

  test("fails where a part ahead of it failed, and the next does not", async (t) => {
    const { apply, applyAhead, names } = start(t, deadResolver);
    applyAhead({ set: [{ name: "odd", version: "1", value: null as never }], removed: [] });
    await assert.rejects(apply(unchanged), TypeError);
    await apply(setting(staticCluster("a", ["10.0.0.1:80"])));
    assert.deepEqual(names(), ["a"]);
  });

  test("takes a removed cluster away only when the rest of it is in force", async (t) => {
    const { clock, apply, names } = start(t, deadResolver);
    await apply(setting(staticCluster("old", ["10.0.0.1:80"])));
    const { set } = setting(dnsCluster("new"));
    const hanging = apply({ set, removed: ["old"] });
    await isDone(hanging);
    assert.deepEqual(names().toSorted(), ["new", "old"]);
    clock.advance(250);
    await hanging;
    assert.deepEqual(names(), ["new"]);
  });
});
