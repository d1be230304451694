import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { decodeCluster } from "../../../../src/envoy/cluster/cluster-decoder.ts";
import { decodeHealthCheck } from "../../../../src/envoy/cluster/health-check.ts";
import { healthCheckJson } from "../../../support/health-models.ts";
import { accepted, issuesOf, staticCluster } from "../decoding.ts";

const http = (over: object = {}): object => healthCheckJson({ http_health_check: { path: "/", ...over } });

suite("decodeHealthCheck", () => {
  test("intervals stand in for each other as in Envoy", () => {
    const { check, ...times } = accepted(decodeHealthCheck, {
      ...healthCheckJson(),
      no_traffic_interval: undefined,
      unhealthy_interval: "3s",
    });
    assert.deepEqual(check, { kind: "tcp", send: Buffer.alloc(0), receive: [] });
    assert.deepEqual(times, {
      timeoutMs: 1000,
      intervalMs: 10_000,
      initialJitterMs: 0,
      intervalJitterMs: 0,
      intervalJitterPercent: 0,
      unhealthyThreshold: 2,
      healthyThreshold: 2,
      altPort: 0,
      reuseConnection: true,
      noTrafficIntervalMs: 60_000,
      noTrafficHealthyIntervalMs: 60_000,
      unhealthyIntervalMs: 3000,
      unhealthyEdgeIntervalMs: 3000,
      healthyEdgeIntervalMs: 10_000,
      alwaysLogFailures: false,
      alwaysLogSuccess: false,
      alpnProtocols: [],
      transportSocketMatch: undefined,
    });
  });

  test("bytes come as hexadecimal text or base64", () => {
    const tcp = { send: { text: "50494e47" }, receive: [{ binary: "UE9ORw==" }] };
    assert.deepEqual(accepted(decodeHealthCheck, healthCheckJson({ tcp_health_check: tcp })).check, {
      kind: "tcp",
      send: Buffer.from("PING"),
      receive: [Buffer.from("PONG")],
    });
  });

  const refused: readonly (readonly [string, object, RegExp])[] = [
    ["no kind of check", healthCheckJson({}), /one of http_health_check, tcp_health_check, grpc_health_check is required/],
    ["no thresholds", { ...healthCheckJson(), healthy_threshold: undefined }, /healthy_threshold.*required/],
    ["a path that ends the request line", http({ path: "/ HTTP/1.1\r\nX: y" }), /expected a path/],
    ["a host with a line end", http({ host: "a\r\nb" }), /expected a host/],
    ["statuses the wrong way round", http({ expected_statuses: [{ start: 300, end: 200 }] }), /expected statuses/],
    ["odd hexadecimal digits", healthCheckJson({ tcp_health_check: { receive: [{ text: "abc" }] } }), /hexadecimal/],
    ["a body for GET", http({ send: { text: "00" } }), /GET request has no body/],
    ["HTTP/3", http({ codec_client_type: "HTTP3" }), /HTTP\/3/],
    ["kinds that are none of the three", healthCheckJson({ custom_health_check: { name: "redis" } }), /not supported/],
  ];
  for (const [title, json, message] of refused) {
    test(`refuses ${title}`, () => assert.match(JSON.stringify(issuesOf(decodeHealthCheck, json)), message));
  }

  test("a cluster has one, and endpoints may say where they are asked", () => {
    const address = { socket_address: { address: "10.0.0.1", port_value: 80 } };
    const endpoints = [
      { endpoint: { address, health_check_config: { port_value: 81, hostname: "h", disable_active_health_check: true } } },
    ];
    const load = { cluster_name: "a", endpoints: [{ lb_endpoints: endpoints }] };
    const json = staticCluster("a", { health_checks: [healthCheckJson()], ignore_health_on_host_removal: true, load_assignment: load });
    const cluster = accepted(decodeCluster, json);
    assert.equal(cluster.healthCheck?.check.kind, "tcp");
    assert.equal(cluster.ignoreHealthOnHostRemoval, true);
    assert.deepEqual(cluster.loadAssignment?.endpoints[0]?.endpoints[0]?.healthCheck, {
      port: 81,
      hostname: "h",
      address: undefined,
      disabled: true,
    });
    const two = staticCluster("a", { health_checks: [healthCheckJson(), healthCheckJson()] });
    assert.match(JSON.stringify(issuesOf(decodeCluster, two)), /at most 1/);
  });
});
