import assert from "node:assert/strict";
import { test } from "node:test";
import type { GrpcStatsConfig } from "../../../../../src/envoy/http-filter/grpc-stats.ts";
import { createGrpcSeries, maxMethods } from "../../../../../src/filter/http/grpc-stats/series.ts";
import { StatsSlab } from "../../../../../src/telemetry/stats-slab.ts";
import type { UpstreamCluster } from "../../../../../src/upstream/cluster.ts";

const all: GrpcStatsConfig = { emitFilterState: false, methods: "all", enableUpstreamStats: false, replaceDots: false };
// Only its name is looked at.
const cluster = { name: "c", model: { altStatName: "" } } as UpstreamCluster;

test("methods beyond the limit share the cluster's counters, known ones keep theirs", () => {
  const seriesOf = createGrpcSeries(all, new StatsSlab(() => undefined).root);
  const first = seriesOf(cluster, "/s/0");
  for (let i = 1; i < maxMethods; i++) seriesOf(cluster, `/s/${i}`);
  const beyond = seriesOf(cluster, "/s/beyond");
  assert.ok(beyond !== undefined && first !== undefined && beyond !== first);
  assert.equal(seriesOf(cluster, "/other/beyond"), beyond);
  assert.equal(seriesOf(cluster, "/s/0"), first);
});

for (const path of ["/", "/a", "/a/", "//b", "/a/b/c", "/a//", "/a?/b"])
  test(`${path} names no method`, () => assert.equal(createGrpcSeries(all, new StatsSlab(() => undefined).root)(cluster, path), undefined));
