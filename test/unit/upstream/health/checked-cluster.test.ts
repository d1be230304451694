// What health checks change in a cluster: who is picked, who stays, what waits for the first round.
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import type { Cluster } from "../../../../src/envoy/cluster/cluster.ts";
import { ClusterManager } from "../../../../src/upstream/cluster-manager.ts";
import { assignment, cluster, endpoint, group, lbContext, seededRandom, setting, unchanged } from "../../../support/cluster-models.ts";
import { healthCheck } from "../../../support/health-models.ts";
import { until } from "../../../support/l4-proxy.ts";
import { manualClock } from "../../../support/manual-clock.ts";
import { outlierDetection } from "../../../support/outlier-models.ts";
import { recordingStats } from "../../../support/recording-stats.ts";
import { recordingLogger } from "../../../support/tls-models.ts";
import { closedPort, serve } from "../../../support/tcp.ts";

function manage(t: TestContext, over: Partial<Cluster> = {}) {
  const clock = manualClock();
  const stats = recordingStats();
  const manager = new ClusterManager({
    clock,
    stats,
    random: seededRandom(3),
    logger: recordingLogger(),
    createClientTransport: () => ({ ready: false, handshake: () => ({ cancel: () => {} }) }),
  });
  t.after(() => manager.close());
  const model = cluster("c", { type: "EDS", healthyPanicThreshold: 0, healthCheck: healthCheck(), ...over });
  const assign = (...ports: readonly number[]): void =>
    manager.apply(unchanged, setting(assignment("c", [group(ports.map((port) => endpoint(`127.0.0.1:${port}`)))])));
  const publish = (changed: Cluster, ...ports: readonly number[]): void =>
    manager.apply(setting(changed), setting(assignment("c", [group(ports.map((port) => endpoint(`127.0.0.1:${port}`)))])));
  /** Has every host checked that is due now. */
  const checked = async (): Promise<void> => {
    const value = (name: string): number => stats.value(`cluster.c.health_check.${name}`) ?? 0;
    clock.advance(0);
    await until(() => value("success") + value("failure") === value("attempt"));
  };
  const picked = (): string | undefined => manager.get("c")?.pick(lbContext())?.addressText;
  return { manager, clock, stats, model, assign, publish, checked, picked };
}

const listening = async (t: TestContext): Promise<number> => (await serve(t, (socket) => socket.resume())).port;

suite("a cluster with health checks", () => {
  test("has no host before the first check, and is warm after it whatever it says", async (t) => {
    const { manager, model, publish, checked, picked } = manage(t);
    const [open, closed] = [await listening(t), await closedPort()];
    publish(model, open, closed);
    let warm = false;
    manager.whenWarm(["c"], () => (warm = true));
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([warm, picked()], [false, undefined]);
    await checked();
    assert.deepEqual([warm, picked(), picked()], [true, `127.0.0.1:${open}`, `127.0.0.1:${open}`]);
  });

  test("a host that leaves the assignment stays while it passes, and goes when it fails", async (t) => {
    const { manager, clock, model, publish, assign, checked, stats } = manage(t);
    const { port, server } = await serve(t, (socket) => socket.resume());
    publish(model, port);
    await checked();
    assign();
    const shown = (): readonly (readonly [boolean, boolean | undefined])[] =>
      (manager.describe()[0]?.hosts ?? []).map((host) => [host.pendingRemoval, host.activeHealth?.failed]);
    assert.deepEqual(shown(), [[true, false]]);
    assign(port);
    assert.deepEqual(shown(), [[false, false]]);
    assign();
    server.close();
    clock.advance(60_000);
    await checked();
    clock.advance(60_000);
    await checked();
    assert.deepEqual(shown(), []);
    assert.equal(stats.value("cluster.c.health_check.healthy"), 0);
  });

  test("with ignore_health_on_host_removal it goes at once", async (t) => {
    const { manager, model, publish, assign, checked } = manage(t, { ignoreHealthOnHostRemoval: true });
    publish(model, await listening(t));
    await checked();
    assign();
    assert.deepEqual(manager.get("c")?.hosts(), []);
  });

  test("hosts that served unchecked keep serving when checks are introduced, and are free of them when those go", async (t) => {
    const { manager, model, publish, checked, picked } = manage(t);
    const { healthCheck: check, ...unchecked } = model;
    const port = await closedPort();
    publish(unchecked, port);
    assert.equal(picked(), `127.0.0.1:${port}`);
    publish({ ...unchecked, ...(check && { healthCheck: { ...check, unhealthyThreshold: 1 } }) }, port);
    assert.equal(picked(), `127.0.0.1:${port}`);
    await checked();
    assert.equal(picked(), undefined);
    publish(unchecked, port);
    assert.equal(picked(), `127.0.0.1:${port}`);
    assert.equal(manager.describe()[0]?.hosts[0]?.activeHealth, undefined);
  });

  test("a host whose endpoint is not to be checked is in use unchecked", async (t) => {
    const { manager, model, picked } = manage(t);
    const off = { port: 0, hostname: "", address: undefined, disabled: true };
    manager.apply(setting(model), setting(assignment("c", [group([endpoint("127.0.0.1:9", { healthCheck: off })])])));
    assert.equal(picked(), "127.0.0.1:9");
  });

  for (const unejects of [true, false]) {
    test(`a host that passes is ${unejects ? "" : "not "}readmitted by successful_active_health_check_uneject_host`, async (t) => {
      const { manager, clock, model, publish, checked } = manage(t, {
        outlierDetection: outlierDetection({ consecutive5xx: 1, healthCheckUnejects: unejects }),
        healthCheck: { ...healthCheck(), noTrafficHealthyIntervalMs: 1000 },
      });
      publish(model, await listening(t));
      await checked();
      const host = manager.get("c")?.hosts()[0];
      host?.onResult(503);
      assert.equal(host?.healthy, false);
      clock.advance(1000);
      await checked();
      assert.equal(host?.healthy, unejects);
    });
  }
});
