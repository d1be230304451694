// Which series a request or connection is counted in, and that their number stays bounded.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Metadata } from "../../../../src/envoy/address.ts";
import { createIstioRecorder } from "../../../../src/telemetry/istio/recorder.ts";
import { IstioSeries } from "../../../../src/telemetry/istio/series.ts";
import { unknownWorkload } from "../../../../src/telemetry/istio/workload.ts";
import { ConnectionInfo, StreamInfo } from "../../../../src/telemetry/stream-info.ts";
import { recordingStats } from "../../../support/recording-stats.ts";
import { recordingLogger } from "../../../support/tls-models.ts";
import { peer } from "../streams.ts";

const service = (host: string): Metadata => ({ istio: { services: [{ host, name: host, namespace: "default" }] } });

function start(limit?: number) {
  const stats = recordingStats();
  const logger = recordingLogger();
  const clusters = new Map<string, Metadata>([["a", service("a")]]);
  const recorder = createIstioRecorder(new IstioSeries(stats, logger, limit), {
    reporter: "source",
    own: unknownWorkload,
    hostFallback: true,
    clusterMetadata: (cluster) => clusters.get(cluster),
  });
  const stream = (over: Partial<StreamInfo> = {}): StreamInfo => {
    const connection = new ConnectionInfo(1, 0, 0, { ip: "192.0.2.1", port: 1 }, { ip: "192.0.2.2", port: 80 });
    return Object.assign(new StreamInfo(connection, 0, 0), { upstreamCluster: "a", responseCode: 200, authority: "a" }, over);
  };
  /** Values of one metric by one label, in the order in which the series came to be. */
  const by = (metric: string, label: string): readonly string[] =>
    stats
      .names()
      .filter((name) => name.startsWith(`${metric}{`))
      .map((name) => `${new RegExp(`[{,]${label}="([^"]*)"`).exec(name)?.[1]} ${stats.value(name)}`);
  return { recorder, stream, clusters, by, logger };
}

suite("recorder of Istio's metrics", () => {
  test("counts like with like", () => {
    const { recorder, stream, by } = start();
    for (const responseCode of [200, 200, 404, 200]) recorder.request(stream({ responseCode }));
    assert.deepEqual(by("istio_requests_total", "response_code"), ["200 3", "404 1"]);
    for (const metric of ["istio_request_duration_milliseconds", "istio_request_bytes", "istio_response_bytes"])
      assert.deepEqual(by(metric, "response_code"), ["200 3", "404 1"], metric);
  });

  const apart: readonly (readonly [string, readonly Partial<StreamInfo>[], readonly string[]])[] = [
    [
      "destination_principal",
      [{ upstreamTls: { ...peer, uriSans: ["spiffe://a"] } }, { upstreamTls: { ...peer, uriSans: ["spiffe://b"] } }],
      ["spiffe://a 2", "spiffe://b 2"],
    ],
    [
      "source_principal",
      [{ upstreamTls: peer }, { upstreamTls: { ...peer, localUriSan: "spiffe://new" } }],
      ["spiffe://me 2", "spiffe://new 2"],
    ],
    [
      "destination_workload",
      [{ upstreamMetadata: { istio: { workload: "one;;;;" } } }, { upstreamMetadata: { istio: { workload: "two;;;;" } } }],
      ["one 2", "two 2"],
    ],
    [
      "destination_service",
      [
        { upstreamCluster: "x", authority: "one" },
        { upstreamCluster: "x", authority: "two" },
      ],
      ["one 2", "two 2"],
    ],
    ["destination_service_name", [{ upstreamCluster: "" }, { upstreamCluster: "", routeName: "block_all" }], ["a 2", "BlackHoleCluster 2"]],
    ["response_flags", [{ flags: 0 }, { flags: 2 }], ["- 2", "UH 2"]],
  ];
  for (const [label, streams, expected] of apart)
    test(`keeps requests apart by ${label}`, () => {
      const { recorder, stream, by } = start();
      for (const over of [...streams, ...streams]) recorder.request(stream(over));
      assert.deepEqual(by("istio_requests_total", label), expected);
    });

  test("a cluster that leads to another service is counted for that one", () => {
    const { recorder, stream, clusters, by } = start();
    recorder.request(stream());
    clusters.set("a", service("b"));
    for (let i = 0; i < 2; i++) recorder.request(stream());
    assert.deepEqual(by("istio_requests_total", "destination_service"), ["a 1", "b 2"]);
  });

  test("counts a connection as opened once, and its bytes where it was", () => {
    const { recorder, stream, by } = start();
    const series = recorder.connection(stream());
    series.sentBytes.add(5);
    series.receivedBytes.add(7);
    series.closed.inc();
    for (const [metric, value] of [
      ["istio_tcp_connections_opened_total", 1],
      ["istio_tcp_connections_closed_total", 1],
      ["istio_tcp_sent_bytes_total", 5],
      ["istio_tcp_received_bytes_total", 7],
    ] as const)
      assert.deepEqual(by(metric, "request_protocol"), [`tcp ${value}`], metric);
  });

  test("beyond the limit new label sets share one series, known ones go on, and it is said once", () => {
    const { recorder, stream, by, logger } = start(2);
    for (const authority of ["one", "two", "three", "four", "one", "three"]) recorder.request(stream({ upstreamCluster: "x", authority }));
    assert.deepEqual(by("istio_requests_total", "destination_service"), ["one 2", "two 1", "overflow 3"]);
    assert.deepEqual(by("istio_requests_total", "reporter"), ["source 2", "source 1", "source 3"]);
    assert.equal(logger.warnings.length, 1);
  });

  test("an authority cannot end its label", () => {
    const { recorder, stream, by } = start();
    recorder.request(stream({ upstreamCluster: "x", authority: 'a",b="c\\\n' }));
    assert.deepEqual(by("istio_requests_total", "request_protocol"), ["http 1"]);
    assert.deepEqual(by("istio_requests_total", "destination_service"), ["a\\ 1"]);
  });
});
