import assert from "node:assert/strict";
import { test } from "node:test";
import { istioAlpn } from "../../../../../src/filter/http/istio-alpn/istio-alpn.ts";
import type { UpstreamCluster } from "../../../../../src/upstream/cluster.ts";
import type { Asked } from "../stand-ins.ts";
import { filterUnderTest, streamFor } from "../stand-ins.ts";

const config = {
  overrides: [
    { upstreamProtocol: "HTTP10", alpnOverride: ["istio-http/1.0", "istio", "http/1.0"] },
    { upstreamProtocol: "HTTP11", alpnOverride: ["istio-http/1.1", "istio", "http/1.1"] },
    { upstreamProtocol: "HTTP2", alpnOverride: ["istio-h2", "istio", "h2"] },
  ],
};

const cases: readonly (readonly [title: string, protocol: string, metadata: object, asked: Asked, offered: string | undefined])[] = [
  ["an HTTP/1 cluster", "http1", {}, {}, "istio-http/1.1"],
  ["an HTTP/2 cluster", "http2", {}, {}, "istio-h2"],
  ["an auto cluster", "auto", {}, {}, "istio-h2"],
  ["a cluster that follows an HTTP/2 client", "downstream", {}, { protocol: "HTTP/2" }, "istio-h2"],
  ["a cluster that follows an HTTP/1.1 client", "downstream", {}, {}, "istio-http/1.1"],
  ["a cluster that follows an HTTP/1.0 client", "downstream", {}, { protocol: "HTTP/1.0" }, "istio-http/1.0"],
  ["a cluster that opts out", "http1", { istio: { alpn_override: "false" } }, {}, undefined],
  ["an unknown cluster", "http1", {}, { cluster: "gone" }, undefined],
  ["a direct response", "http1", {}, { route: "direct_response" }, undefined],
  ["no route", "http1", {}, { route: "none" }, undefined],
];

for (const [title, protocol, metadata, asked, offered] of cases) {
  test(`${title} is offered ${offered ?? "its own ALPN"}`, () => {
    const cluster = { model: { http: { protocol }, metadata } } as unknown as UpstreamCluster;
    const { filter } = filterUnderTest(istioAlpn, config, { clusters: { get: (name) => (name === "a" ? cluster : undefined) } });
    const { stream } = streamFor(asked);
    assert.equal(filter.onRequestHeaders!(stream, true, 0), "continue");
    assert.equal(stream.upstreamAlpn?.[0], offered);
    assert.equal(stream.upstreamAlpnKey, stream.upstreamAlpn?.join(",") ?? "");
  });
}

test("a filter without overrides is no filter", () => {
  assert.equal(filterUnderTest(istioAlpn, { overrides: [] }).filter, undefined);
});
