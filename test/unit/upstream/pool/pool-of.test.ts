// Pools that are made for a client's wish: what stays of them in the host's table.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { UpstreamProtocol } from "../../../../src/envoy/cluster/cluster.ts";
import { ClusterManager } from "../../../../src/upstream/cluster-manager.ts";
import { poolOf } from "../../../../src/upstream/pool/pool-of.ts";
import { lbContext, seededRandom, setting, staticCluster, unchanged } from "../../../support/cluster-models.ts";
import { manualClock } from "../../../support/manual-clock.ts";
import { recordingStats } from "../../../support/recording-stats.ts";
import { recordingLogger } from "../../../support/tls-models.ts";

const server = { sni: "a.example", verifyNames: [], key: "a.example" };

suite("pools of a host", () => {
  for (const protocol of ["http1", "http2", "auto", "downstream"] satisfies UpstreamProtocol[]) {
    test(`${protocol}: a pool for a name of the client's is forgotten when its first request finds the queue full`, () => {
      const clock = manualClock();
      const upstream = full(protocol, clock);
      const host = upstream.pick(lbContext());
      assert.ok(host);
      const heard: string[] = [];
      const waiter = {
        onPoolReady: () => void heard.push("ready"),
        onPoolFailure: ({ code }: Error & { code: string }) => void heard.push(code),
      };
      const ask = (own: typeof server | undefined): void => {
        poolOf(host, upstream, "HTTP/1.1", undefined, "", own, undefined, clock, "default").acquire(waiter);
      };
      ask(server);
      assert.deepEqual(heard, ["upstream_overflow"]);
      assert.equal(host.pools?.size, 0);
      ask(undefined);
      assert.equal(host.pools?.size, 1, "the cluster's own pool stays");
    });
  }
});

function full(protocol: UpstreamProtocol, clock: ReturnType<typeof manualClock>) {
  const manager = new ClusterManager({
    clock,
    stats: recordingStats(),
    random: seededRandom(11),
    logger: recordingLogger(),
    createClientTransport: () => assert.fail("nothing is dialled"),
    lookupHost: () => Promise.reject(new Error("no resolver")),
  });
  const model = staticCluster("a", ["127.0.0.1:1"]);
  const thresholds = { ...model.circuitBreakers.default, maxPendingRequests: 0 };
  manager.apply(
    setting({ ...model, http: { ...model.http, protocol }, circuitBreakers: { default: thresholds, high: thresholds } }),
    unchanged,
  );
  const upstream = manager.get("a");
  assert.ok(upstream);
  return upstream;
}
