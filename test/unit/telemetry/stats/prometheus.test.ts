// Envoy's text forms of stats; names and labels as Envoy 1.40 prints them.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { estimateQuantile, histogramBounds } from "../../../../src/telemetry/stats/histogram.ts";
import { renderPrometheus, renderStatsJson, renderStatsText } from "../../../../src/telemetry/stats/prometheus.ts";
import { extractTags } from "../../../../src/telemetry/stats/stat-tags.ts";
import { StatsReader } from "../../../../src/telemetry/stats/stats-reader.ts";
import { StatsSlab } from "../../../../src/telemetry/stats-slab.ts";

const mesh = "outbound|80||a.b.svc.cluster.local";
const clusters = new Set(["simple", mesh, `${mesh};`, "simple.nested"]);

function sample(fill: (stats: StatsSlab["root"]) => void): ReturnType<StatsReader["list"]> {
  const reader = new StatsReader();
  const slab = new StatsSlab((announcement) => reader.add("w", announcement));
  fill(slab.root);
  slab.flush();
  return reader.list();
}

suite("tag extraction", () => {
  for (const [name, family, tags] of [
    ["cluster.simple.upstream_rq_503", "cluster.upstream_rq", { "envoy.response_code": "503", "envoy.cluster_name": "simple" }],
    ["cluster.simple.upstream_rq_5xx", "cluster.upstream_rq_xx", { "envoy.response_code_class": "5", "envoy.cluster_name": "simple" }],
    ["cluster.simple.external.upstream_rq_completed", "cluster.external.upstream_rq_completed", { "envoy.cluster_name": "simple" }],
    [`cluster.${mesh}.upstream_cx_total`, "cluster.upstream_cx_total", { "envoy.cluster_name": mesh }],
    [`cluster.${mesh};.upstream_cx_total`, "cluster.upstream_cx_total", { "envoy.cluster_name": mesh }],
    ["cluster.simple.nested.upstream_cx_total", "cluster.upstream_cx_total", { "envoy.cluster_name": "simple.nested" }],
    ["cluster.other.upstream_cx_total", "cluster.upstream_cx_total", { "envoy.cluster_name": "other" }],
    [
      "http.ing.ress.downstream_rq_2xx",
      "http.ress.downstream_rq_xx",
      { "envoy.response_code_class": "2", "envoy.http_conn_manager_prefix": "ing" },
    ],
    ["listener.127.0.0.1_19000.downstream_cx_total", "listener.downstream_cx_total", { "envoy.listener_address": "127.0.0.1_19000" }],
    ["listener.[__1]_80.no_filter_chain_match", "listener.no_filter_chain_match", { "envoy.listener_address": "[__1]_80" }],
    [
      "listener.0.0.0.0_80.http.main.downstream_rq_4xx",
      "listener.http.downstream_rq_xx",
      { "envoy.response_code_class": "4", "envoy.http_conn_manager_prefix": "main", "envoy.listener_address": "0.0.0.0_80" },
    ],
    ["tcp.t.downstream_cx_total", "tcp.downstream_cx_total", { "envoy.tcp_prefix": "t" }],
    ["server.live", "server.live", {}],
    ["cluster_manager.cluster_added", "cluster_manager.cluster_added", {}],
  ] as const) {
    test(name, () => {
      const tagged = extractTags(name, clusters);
      assert.equal(tagged.name, family);
      assert.deepEqual(
        tagged.tags.map((tag) => [tag.name, tag.value]),
        Object.entries(tags),
      );
    });
  }
});

suite("prometheus text", () => {
  test("groups a family under one TYPE line: counters, gauges, histograms", () => {
    const text = renderPrometheus(
      sample((stats) => {
        stats.gauge("server.live").set(1);
        stats.counter(`cluster.${mesh}.upstream_rq_2xx`).add(3);
        stats.counter("cluster.simple.upstream_rq_2xx").add(1);
      }),
      clusters,
    );
    assert.equal(
      text,
      `# TYPE envoy_cluster_upstream_rq_xx counter
envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="${mesh}"} 3
envoy_cluster_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="simple"} 1
# TYPE envoy_server_live gauge
envoy_server_live{} 1
`,
    );
  });

  test("histograms have cumulative buckets, the sum and the count", () => {
    const lines = renderPrometheus(
      sample((stats) => {
        for (const value of [0.5, 1, 3, 7, 4_000_000]) stats.histogram("http.a.downstream_rq_time").record(value);
      }),
      clusters,
    ).split("\n");
    const at = (le: string): string | undefined => lines.find((line) => line.includes(`le="${le}"`));
    assert.equal(lines.filter((line) => line.includes("_bucket{")).length, histogramBounds.length + 1);
    assert.equal(at("0.5"), 'envoy_http_downstream_rq_time_bucket{envoy_http_conn_manager_prefix="a",le="0.5"} 1');
    assert.match(at("1") ?? "", / 2$/);
    assert.match(at("5") ?? "", / 3$/);
    assert.match(at("3600000") ?? "", / 4$/);
    assert.match(at("+Inf") ?? "", / 5$/);
    assert.ok(lines.includes('envoy_http_downstream_rq_time_sum{envoy_http_conn_manager_prefix="a"} 4000011.5'));
    assert.ok(lines.includes('envoy_http_downstream_rq_time_count{envoy_http_conn_manager_prefix="a"} 5'));
  });

  test("label values cannot break a line", () => {
    const name = 'a"b\\c\nd';
    const text = renderPrometheus(
      sample((stats) => stats.counter(`cluster.${name}.x`).inc()),
      new Set([name]),
    );
    assert.equal(text, '# TYPE envoy_cluster_x counter\nenvoy_cluster_x{envoy_cluster_name="a\\"b\\\\c\\nd"} 1\n');
  });
});

suite("stats as text and JSON", () => {
  const stats = sample((root) => {
    root.counter("b").add(2);
    root.gauge("a").set(1);
    root.histogram("h").record(4);
    root.histogram("none");
  });

  test("text lists numbers by name, then histograms", () => {
    const [first, second, third, fourth] = renderStatsText(stats).split("\n");
    assert.deepEqual([first, second, fourth], ["a: 1", "b: 2", "none: No recorded values"]);
    assert.match(third ?? "", /^h: P0\(nan,1\) P25\(nan,2\) .* P100\(nan,5\)$/);
  });

  test("JSON carries the same", () => {
    const { stats: list } = JSON.parse(renderStatsJson(stats)) as {
      stats: [{ name: string; value: number }, unknown, { histograms: { computed_quantiles: { name: string }[] } }];
    };
    assert.deepEqual(list[0], { name: "a", value: 1 });
    assert.deepEqual(
      list[2].histograms.computed_quantiles.map(({ name }) => name),
      ["h", "none"],
    );
  });

  test("quantiles interpolate within a bucket", () => {
    const buckets = histogramBounds.map(() => 0).concat(0);
    buckets[3] = 10;
    assert.equal(estimateQuantile({ buckets, sum: 75, count: 10 }, 0.5), 7.5);
    assert.ok(Number.isNaN(estimateQuantile({ buckets: buckets.map(() => 0), sum: 0, count: 0 }, 0.5)));
  });
});
