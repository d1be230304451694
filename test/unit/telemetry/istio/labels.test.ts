// Labels of Istio's metrics: what each side can know, and what it calls what it cannot.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Metadata } from "../../../../src/envoy/address.ts";
import { connectionLabels, requestLabels, type ReporterContext } from "../../../../src/telemetry/istio/labels.ts";
import { parseWorkload } from "../../../../src/telemetry/istio/workload.ts";
import { flag } from "../../../../src/telemetry/response-flag.ts";
import { ConnectionInfo, StreamInfo, type TlsPeer } from "../../../../src/telemetry/stream-info.ts";
import { HeaderMap } from "../../../../src/wire/header-map.ts";
import { peer } from "../streams.ts";

const spiffe = (namespace: string, account: string): string => `spiffe://cluster.local/ns/${namespace}/sa/${account}`;
const tls = (uri: string, local: string, validated = true): TlsPeer => ({ ...peer, uriSans: [uri], localUriSan: local, validated });
const own = { ...parseWorkload("sleep-v1;apps;sleep;v1;c1"), app: "sleep", version: "v1" };
const metadata: Metadata = { istio: { services: [{ host: "web.shop.svc.cluster.local", name: "web", namespace: "shop" }] } };
const clusterMetadata = (cluster: string): Metadata | undefined => (cluster === "web" ? metadata : undefined);
const source: ReporterContext = { reporter: "source", own, hostFallback: true, clusterMetadata };
const destination: ReporterContext = { reporter: "destination", own, hostFallback: false, clusterMetadata };

function stream(over: Partial<StreamInfo> = {}, downstream?: TlsPeer): StreamInfo {
  const connection = new ConnectionInfo(1, 0, 0, { ip: "192.0.2.1", port: 1 }, { ip: "192.0.2.2", port: 80 });
  connection.tls = downstream;
  return Object.assign(new StreamInfo(connection, 0, 0), { upstreamCluster: "web", responseCode: 200, authority: "web:8000" }, over);
}

const headers = (fields: Readonly<Record<string, string>>): HeaderMap => {
  const map = new HeaderMap();
  for (const [name, value] of Object.entries(fields)) map.add(name, value);
  return map;
};

/** The labels asked for, of a request. */
const of = (info: StreamInfo, context: ReporterContext, ...names: readonly string[]): readonly (string | undefined)[] => {
  const labels = new Map(requestLabels(info, context));
  return names.map((name) => labels.get(name));
};

suite("labels of Istio's metrics", () => {
  test("the destination tells its caller by certificate alone", () => {
    assert.deepEqual(requestLabels(stream({}, tls(spiffe("default", "curl"), spiffe("apps", "sleep"))), destination), [
      ["reporter", "destination"],
      ["source_workload", "unknown"],
      ["source_canonical_service", "unknown"],
      ["source_canonical_revision", "latest"],
      ["source_workload_namespace", "default"],
      ["source_principal", "spiffe://cluster.local/ns/default/sa/curl"],
      ["source_app", "unknown"],
      ["source_version", "unknown"],
      ["source_cluster", "unknown"],
      ["destination_workload", "sleep-v1"],
      ["destination_canonical_service", "sleep"],
      ["destination_canonical_revision", "v1"],
      ["destination_workload_namespace", "apps"],
      ["destination_principal", "spiffe://cluster.local/ns/apps/sa/sleep"],
      ["destination_app", "sleep"],
      ["destination_version", "v1"],
      ["destination_cluster", "c1"],
      ["destination_service", "web.shop.svc.cluster.local"],
      ["destination_service_name", "web"],
      ["destination_service_namespace", "apps"],
      ["request_protocol", "http"],
      ["response_code", "200"],
      ["grpc_response_status", ""],
      ["response_flags", "-"],
      ["connection_security_policy", "mutual_tls"],
    ]);
  });

  test("the source tells whom it called by endpoint, certificate and cluster", () => {
    const info = stream({
      upstreamMetadata: { istio: { workload: "web-v2;shop;web;v2;c2" } },
      upstreamTls: tls(spiffe("shop", "web"), spiffe("apps", "sleep")),
      flags: flag.UF | flag.URX,
      responseCode: 503,
    });
    assert.deepEqual(
      connectionLabels(info, source).map(([name, value]) => `${name}=${value}`),
      [
        "reporter=source",
        "source_workload=sleep-v1",
        "source_canonical_service=sleep",
        "source_canonical_revision=v1",
        "source_workload_namespace=apps",
        "source_principal=spiffe://cluster.local/ns/apps/sa/sleep",
        "source_app=sleep",
        "source_version=v1",
        "source_cluster=c1",
        "destination_workload=web-v2",
        "destination_canonical_service=web",
        "destination_canonical_revision=v2",
        "destination_workload_namespace=shop",
        "destination_principal=spiffe://cluster.local/ns/shop/sa/web",
        "destination_app=unknown",
        "destination_version=unknown",
        "destination_cluster=c2",
        "destination_service=web.shop.svc.cluster.local",
        "destination_service_name=web",
        "destination_service_namespace=shop",
        "request_protocol=tcp",
        "response_flags=UF,URX",
        "connection_security_policy=unknown",
      ],
    );
  });

  const identity: readonly (readonly [string, TlsPeer | undefined, readonly string[]])[] = [
    ["plaintext", undefined, ["unknown", "unknown", "none"]],
    ["a certificate nobody vouches for", tls(spiffe("a", "b"), spiffe("apps", "sleep"), false), ["unknown", "unknown", "none"]],
    ["no certificate", { ...tls("", "id", false), presented: false, uriSans: [] }, ["unknown", "unknown", "none"]],
    ["a certificate of another kind", tls("https://a", "id"), ["https://a", "unknown", "mutual_tls"]],
    ["an identity of this side that is none", tls(spiffe("a", "b"), ""), [spiffe("a", "b"), "a", "none"]],
  ];
  for (const [what, downstream, expected] of identity)
    test(`at the destination, ${what}`, () => {
      assert.deepEqual(
        of(stream({}, downstream), destination, "source_principal", "source_workload_namespace", "connection_security_policy"),
        expected,
      );
    });

  const services: readonly (readonly [string, Partial<StreamInfo>, ReporterContext, readonly string[]])[] = [
    ["a cluster of no service, by its authority", { upstreamCluster: "other" }, source, ["web:8000", "web:8000", "unknown"]],
    ["ALLOW_ANY", { upstreamCluster: "PassthroughCluster" }, source, ["web:8000", "PassthroughCluster", "unknown"]],
    ["REGISTRY_ONLY", { upstreamCluster: "", routeName: "block_all" }, source, ["web:8000", "BlackHoleCluster", "unknown"]],
    ["an authority that is no name", { upstreamCluster: "", authority: "a".repeat(254) }, source, ["unknown", "unknown", "unknown"]],
    ["a gateway", { upstreamCluster: "other" }, { ...source, hostFallback: false }, ["unknown", "unknown", "unknown"]],
    ["a port of no service", { upstreamCluster: "InboundPassthroughCluster" }, destination, ["sleep", "InboundPassthroughCluster", "apps"]],
    ["no cluster", { upstreamCluster: "" }, destination, ["sleep", "sleep", "apps"]],
  ];
  for (const [what, over, context, expected] of services)
    test(`destination service of ${what}`, () => {
      assert.deepEqual(
        of(stream(over), context, "destination_service", "destination_service_name", "destination_service_namespace"),
        expected,
      );
    });

  for (const [type, protocol] of [
    ["application/grpc+proto", "grpc"],
    ["application/grpc-web", "http"],
    ["text/plain", "http"],
  ] as const)
    test(`a request of ${type} is ${protocol}`, () => {
      assert.deepEqual(of(stream({ requestHeaders: headers({ "content-type": type }) }), source, "request_protocol"), [protocol]);
    });

  for (const [trailers, status] of [
    [{ "grpc-status": "5" }, "5"],
    [{}, ""],
  ] as const)
    test(`a gRPC call with ${JSON.stringify(trailers)}`, () => {
      const info = stream({ requestHeaders: headers({ "content-type": "application/grpc" }), responseTrailers: headers(trailers) });
      assert.deepEqual(of(info, source, "request_protocol", "response_code", "grpc_response_status"), ["grpc", "200", status]);
    });
});
