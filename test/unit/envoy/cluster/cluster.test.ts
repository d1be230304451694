import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { decodeCluster } from "../../../../src/envoy/cluster/cluster-decoder.ts";
import { decodeClusterLoadAssignment } from "../../../../src/envoy/cluster/endpoint.ts";
import { accepted, address, any, issuesOf, staticCluster } from "../decoding.ts";

const protocolOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
function speaking(options: object): object {
  return staticCluster("a", { typed_extension_protocol_options: { [protocolOptions]: any(protocolOptions, options) } });
}
function balanced(...policies: readonly object[]): object {
  return staticCluster("a", {
    load_balancing_policy: { policies: policies.map((config) => ({ typed_extension_config: { name: "x", typed_config: config } })) },
  });
}
const lb = (name: string, fields: object = {}): object => any(`envoy.extensions.load_balancing_policies.${name}`, fields);

suite("decodeCluster", () => {
  test("fills in Envoy's defaults", () => {
    const value = accepted(decodeCluster, { name: "a" });
    assert.equal(value.type, "STATIC");
    assert.equal(value.connectTimeoutMs, 5000);
    assert.deepEqual(value.lbPolicy, { kind: "ROUND_ROBIN" });
    assert.equal(value.healthyPanicThreshold, 50);
    assert.equal(value.http.protocol, "http1");
    assert.equal(value.http.idleTimeoutMs, 3_600_000);
    assert.equal(value.edsServiceName, "a");
    assert.deepEqual(value.circuitBreakers.high, { maxConnections: 1024, maxPendingRequests: 1024, maxRequests: 1024, maxRetries: 3 });
  });

  test("reads circuit breakers by priority, keeping zero as zero", () => {
    const value = accepted(
      decodeCluster,
      staticCluster("a", { circuit_breakers: { thresholds: [{ max_retries: 0 }, { priority: "HIGH", max_requests: 5 }] } }),
    );
    assert.equal(value.circuitBreakers.default.maxRetries, 0);
    assert.equal(value.circuitBreakers.high.maxRequests, 5);
    assert.equal(value.circuitBreakers.high.maxRetries, 3);
  });

  for (const [title, json, protocol] of [
    ["explicit HTTP/2", speaking({ explicit_http_config: { http2_protocol_options: {} } }), "http2"],
    ["explicit HTTP/1", speaking({ explicit_http_config: { http_protocol_options: {} } }), "http1"],
    ["the downstream's protocol", speaking({ use_downstream_protocol_config: {} }), "downstream"],
    ["ALPN's choice", speaking({ auto_config: {} }), "auto"],
    ["the deprecated field for HTTP/2", staticCluster("a", { http2_protocol_options: {} }), "http2"],
    ["the deprecated protocol selection", staticCluster("a", { protocol_selection: "USE_DOWNSTREAM_PROTOCOL" }), "downstream"],
  ] as const) {
    test(`speaks ${title}`, () => assert.equal(accepted(decodeCluster, json).http.protocol, protocol));
  }

  for (const [title, json, policy] of [
    [
      "the old name",
      staticCluster("a", { lb_policy: "LEAST_REQUEST", least_request_lb_config: { choice_count: 4 } }),
      { kind: "LEAST_REQUEST", choiceCount: 4 },
    ],
    [
      "an old ring",
      staticCluster("a", { lb_policy: "RING_HASH", ring_hash_lb_config: { minimum_ring_size: 64 } }),
      { kind: "RING_HASH", minimumRingSize: 64, maximumRingSize: 8_388_608 },
    ],
    ["an extension", balanced(lb("random.v3.Random")), { kind: "RANDOM" }],
    [
      "the first extension that is known",
      balanced(any("example.Custom"), lb("maglev.v3.Maglev", { table_size: 101 })),
      { kind: "MAGLEV", tableSize: 101 },
    ],
    [
      "what weighted localities pick with",
      balanced(
        lb("wrr_locality.v3.WrrLocality", {
          endpoint_picking_policy: {
            policies: [{ typed_extension_config: { name: "r", typed_config: lb("least_request.v3.LeastRequest") } }],
          },
        }),
      ),
      { kind: "LEAST_REQUEST", choiceCount: 2 },
    ],
  ] as const) {
    test(`takes the balancing policy from ${title}`, () => assert.deepEqual(accepted(decodeCluster, json).lbPolicy, policy));
  }

  test("reads DNS settings from the newer cluster type", () => {
    const dns = any("envoy.extensions.clusters.dns.v3.DnsCluster", {
      dns_refresh_rate: "7s",
      dns_lookup_family: "V4_ONLY",
      all_addresses_in_single_endpoint: true,
    });
    const { type: _, ...rest } = staticCluster("a") as Record<string, unknown>;
    const value = accepted(decodeCluster, { ...rest, cluster_type: { name: "envoy.clusters.dns", typed_config: dns } });
    assert.equal(value.type, "LOGICAL_DNS");
    assert.equal(value.dnsRefreshRateMs, 7000);
    assert.equal(value.dnsLookupFamily, "V4_ONLY");
  });

  test("reads how the server's name follows the request, from either place", () => {
    const options = { auto_sni: true, auto_san_validation: true, override_auto_sni_header: "X-Server" };
    const typed = speaking({ explicit_http_config: { http_protocol_options: {} }, upstream_http_protocol_options: options });
    for (const cluster of [typed, staticCluster("a", { upstream_http_protocol_options: options })])
      assert.deepEqual(accepted(decodeCluster, cluster).http.nameByRequest, { sni: true, verify: true, header: "x-server" });
  });

  test("reads a source address and keep-alive", () => {
    const value = accepted(
      decodeCluster,
      staticCluster("a", {
        upstream_bind_config: {
          source_address: { address: "127.0.0.6", port_value: 0 },
          extra_source_addresses: [{ address: { address: "::6", port_value: 0 } }],
        },
        upstream_connection_options: { tcp_keepalive: { keepalive_time: 30 } },
      }),
    );
    assert.deepEqual(value.sourceAddress, { address: "127.0.0.6", port: 0 });
    assert.deepEqual(value.extraSourceAddresses, [{ address: "::6", port: 0 }]);
    assert.deepEqual(value.tcpKeepalive, { timeMs: 30_000, intervalMs: 75_000, probes: 9 });
  });

  const hosts = {
    load_assignment: { cluster_name: "a", endpoints: [{ lb_endpoints: [{ endpoint: { address: address("db.local", 1) } }] }] },
  };
  const socket = "load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address";
  const bad: readonly (readonly [string, object, readonly string[]])[] = [
    ["a missing name", {}, ["error name: required, but not given"]],
    [
      "a cluster type that there is not",
      { name: "a", cluster_type: { name: "envoy.clusters.aggregate" } },
      ["error cluster_type.name: the cluster type envoy.clusters.aggregate is not supported"],
    ],
    [
      "a host name in a STATIC cluster",
      { name: "a", ...hosts },
      [`error ${socket}: expected an IP address, got "db.local"; host names need type STRICT_DNS or LOGICAL_DNS`],
    ],
    [
      "endpoints in an EDS cluster",
      { name: "a", type: "EDS", ...hosts },
      ["error load_assignment: a EDS cluster takes no load_assignment"],
    ],
    [
      "an ORIGINAL_DST cluster that balances",
      { name: "a", type: "ORIGINAL_DST" },
      ["error lb_policy: an ORIGINAL_DST cluster needs lb_policy CLUSTER_PROVIDED"],
    ],
    ["no time to connect", { name: "a", connect_timeout: "0s" }, ["error connect_timeout: must be longer than 0s"]],
    [
      "a ring that is smaller than its minimum",
      { name: "a", ring_hash_lb_config: { minimum_ring_size: 10, maximum_ring_size: 5 } },
      ["error ring_hash_lb_config.minimum_ring_size: above maximum_ring_size 5"],
    ],
    [
      "a table whose size is not prime",
      { name: "a", maglev_lb_config: { table_size: 100 } },
      ["error maglev_lb_config.table_size: expected a prime of at most 5000011, got 100"],
    ],
    [
      "only unknown balancing policies",
      balanced(any("example.Custom")),
      ["error load_balancing_policy.policies: example.Custom is not supported"],
    ],
    [
      "HTTP/3",
      speaking({ explicit_http_config: { http3_protocol_options: {} } }),
      [`error typed_extension_protocol_options["${protocolOptions}"].explicit_http_config.http3_protocol_options: not supported: HTTP/3`],
    ],
    [
      "a TLS context that belongs on the other side",
      staticCluster("a", {
        transport_socket: { name: "tls", typed_config: any("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext") },
      }),
      ["error transport_socket.typed_config: envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext is not supported"],
    ],
    ["v2's TLS context", { name: "a", tls_context: {} }, ["error tls_context: unknown field of Cluster"]],
    [
      "what is not honoured, as warnings",
      { name: "a", dns_jitter: "1s", outlier_detection: { monitors: [{ name: "x" }] } },
      ["warning outlier_detection.monitors: is not honoured", "warning dns_jitter: is not honoured"],
    ],
  ];
  for (const [title, json, expected] of bad) test(`reports ${title}`, () => assert.deepEqual(issuesOf(decodeCluster, json), expected));

  test("decodes five thousand clusters in well under a second", () => {
    const clusters = Array.from({ length: 5000 }, (_, index) =>
      staticCluster(`outbound|80||service-${index}.default.svc.cluster.local`, { connect_timeout: "10s" }),
    );
    const started = performance.now();
    for (const json of clusters) accepted(decodeCluster, json);
    const elapsed = performance.now() - started;
    assert.ok(elapsed < 900, `took ${elapsed.toFixed(0)} ms`);
  });
});

suite("decodeClusterLoadAssignment", () => {
  const group = (fields: object): object => ({ lb_endpoints: [{ endpoint: { address: address("10.0.0.1", 80) } }], ...fields });

  test("reads localities, priorities, weights, health and metadata", () => {
    const value = accepted(decodeClusterLoadAssignment, {
      cluster_name: "a",
      endpoints: [
        {
          locality: { region: "r", zone: "z", sub_zone: "s" },
          load_balancing_weight: 3,
          lb_endpoints: [
            {
              endpoint: { address: { pipe: { path: "/run/x" } }, hostname: "h" },
              health_status: "DRAINING",
              load_balancing_weight: 2,
              metadata: { filter_metadata: { istio: { workload: "w" } } },
            },
          ],
        },
      ],
      policy: { overprovisioning_factor: 150, drop_overloads: [{ category: "all", drop_percentage: { numerator: 10 } }] },
    });
    assert.deepEqual(value, {
      clusterName: "a",
      endpoints: [
        {
          locality: { region: "r", zone: "z", subZone: "s" },
          endpoints: [
            {
              address: { pipe: "/run/x" },
              additionalAddresses: [],
              hostname: "h",
              healthStatus: "DRAINING",
              weight: 2,
              metadata: { istio: { workload: "w" } },
            },
          ],
          weight: 3,
          priority: 0,
        },
      ],
      overprovisioningFactor: 150,
      dropShare: 0.1,
    });
  });

  for (const [title, json, expected] of [
    [
      "a gap among the priorities",
      { cluster_name: "a", endpoints: [group({}), group({ priority: 2 })] },
      ["error endpoints: priority 2 is used, but priority 1 is not"],
    ],
    [
      "a weight of zero",
      { cluster_name: "a", endpoints: [{ lb_endpoints: [{ load_balancing_weight: 0, endpoint: { address: address("10.0.0.1", 80) } }] }] },
      ["error endpoints[0].lb_endpoints[0].load_balancing_weight: expected a number from 1 to 4294967295, got 0"],
    ],
    [
      "an endpoint without an address",
      { cluster_name: "a", endpoints: [{ lb_endpoints: [{ endpoint: {} }] }] },
      ["error endpoints[0].lb_endpoints[0].endpoint.address: required, but not given"],
    ],
  ] as const) {
    test(`reports ${title}`, () => assert.deepEqual(issuesOf(decodeClusterLoadAssignment, json), expected));
  }
});
