// Which filter chains report Istio's metrics, and as whom.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { FilterChain, FilterConfig, Listener } from "../../../src/envoy/listener/listener.ts";
import { IstioMetrics } from "../../../src/listener/istio-metrics.ts";
import { unknownWorkload } from "../../../src/telemetry/istio/workload.ts";
import { ConnectionInfo, StreamInfo } from "../../../src/telemetry/stream-info.ts";
import { recordingStats } from "../../support/recording-stats.ts";
import { silentLogger } from "../../support/silent-logger.ts";

const filter = (extension: string, config: unknown, disabled = false): FilterConfig => ({ name: extension, extension, config, disabled });
const stats = (disableHostHeaderFallback = false, disabled = false): FilterConfig =>
  filter("istio.stats", { disableHostHeaderFallback }, disabled);
const http = (...httpFilters: readonly FilterConfig[]): FilterConfig =>
  filter("envoy.filters.network.http_connection_manager", { httpFilters });
const tcp = filter("envoy.filters.network.tcp_proxy", {});

/** What a request to `web.test` is reported as, `reporter destination_service`; undefined: not at all. */
function reported(
  filters: readonly FilterConfig[],
  direction: Listener["trafficDirection"],
  settings?: { readonly everywhere: boolean; readonly gateway: boolean },
): string | undefined {
  const scope = recordingStats();
  const metrics = new IstioMetrics({ stats: scope, logger: silentLogger, clusters: { get: () => undefined } });
  if (settings) metrics.configure({ own: unknownWorkload, ...settings });
  const recorder = metrics.recorderOf({ filters } as unknown as FilterChain, { trafficDirection: direction });
  const info = new StreamInfo(new ConnectionInfo(1, 0, 0, { ip: "192.0.2.1", port: 1 }, { ip: "192.0.2.2", port: 80 }), 0, 0);
  info.authority = "web.test";
  recorder?.request(info);
  const name = scope.names().find((each) => each.startsWith("istio_requests_total{"));
  return name && `${/reporter="(\w+)"/.exec(name)?.[1]} ${/destination_service="([^"]+)"/.exec(name)?.[1]}`;
}

const sidecar = { everywhere: true, gateway: false };
const gateway = { everywhere: true, gateway: true };
const bootstrap = { everywhere: false, gateway: false };

suite("chains that report Istio's metrics", () => {
  for (const [what, found, expected] of [
    ["a sidecar's outbound", reported([tcp], "OUTBOUND", sidecar), "source web.test"],
    ["a sidecar's inbound", reported([http()], "INBOUND", sidecar), "destination unknown"],
    ["a gateway's", reported([http()], "OUTBOUND", gateway), "source unknown"],
    ["a bootstrap's", reported([http(), tcp], "OUTBOUND", bootstrap), undefined],
    ["one before anything is known", reported([http()], "OUTBOUND"), undefined],
    ["a bootstrap's with the network filter", reported([stats(), tcp], "OUTBOUND", bootstrap), "source web.test"],
    ["a bootstrap's with the HTTP filter", reported([http(stats())], "INBOUND", bootstrap), "destination web.test"],
    ["a bootstrap's whose filter asks for no fallback", reported([http(stats(true))], "OUTBOUND", bootstrap), "source unknown"],
    ["a bootstrap's whose filter is off", reported([http(stats(false, true))], "OUTBOUND", bootstrap), undefined],
  ] as const)
    test(what, () => assert.equal(found, expected));
});
