import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { decodeListener } from "../../../../src/envoy/listener/listener-decoder.ts";
import { accepted, address, any, connectionManager, filter, issuesOf, tcpProxy } from "../decoding.ts";

function listener(fields: object = {}): object {
  return { name: "l", address: address("127.0.0.1", 8080), filter_chains: [{ filters: [tcpProxy("a")] }], ...fields };
}
function matching(match: object): object {
  return listener({ filter_chains: [{ filter_chain_match: match, filters: [tcpProxy("a")] }] });
}
const inspector = filter("envoy.filters.listener.tls_inspector", "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector");

suite("decodeListener", () => {
  test("fills in Envoy's defaults", () => {
    const value = accepted(decodeListener, listener());
    assert.deepEqual(value.addresses, [{ address: "127.0.0.1", port: 8080 }]);
    assert.equal(value.bindToPort, true);
    assert.equal(value.listenerFiltersTimeoutMs, 15_000);
    assert.equal(value.perConnectionBufferLimitBytes, 1_048_576);
    assert.equal(value.trafficDirection, "UNSPECIFIED");
    assert.equal(value.defaultFilterChain, undefined);
    assert.deepEqual(value.filterChains[0]?.transportSocket, { kind: "raw_buffer" });
  });

  test("takes what the kernel or the workers do anyway without a word", () => {
    accepted(
      decodeListener,
      listener({ enable_reuse_port: true, connection_balance_config: { exact_balance: {} }, drain_type: "MODIFY_ONLY" }),
    );
  });

  test("adds additional addresses after the main one", () => {
    const value = accepted(decodeListener, listener({ additional_addresses: [{ address: address("::1", 8080) }] }));
    assert.deepEqual(value.addresses[1], { address: "::1", port: 8080 });
  });

  test("names a listener without a name after its address", () => {
    assert.equal(accepted(decodeListener, listener({ name: "" })).name, "127.0.0.1:8080");
  });

  test("reads every criterion of a filter chain match", () => {
    const value = accepted(
      decodeListener,
      matching({
        destination_port: 443,
        prefix_ranges: [{ address_prefix: "10.0.0.0", prefix_len: 8 }],
        server_names: ["A.example.com", "*.B.example.com"],
        transport_protocol: "tls",
        application_protocols: ["h2"],
        direct_source_prefix_ranges: [{ address_prefix: "::", prefix_len: 0 }],
        source_type: "EXTERNAL",
        source_prefix_ranges: [{ address_prefix: "192.168.0.0", prefix_len: 16 }],
        source_ports: [1234],
      }),
    );
    assert.deepEqual(value.filterChains[0]?.match, {
      destinationPort: 443,
      prefixRanges: [{ addressPrefix: "10.0.0.0", prefixLen: 8 }],
      serverNames: ["a.example.com", "*.b.example.com"],
      transportProtocol: "tls",
      applicationProtocols: ["h2"],
      directSourcePrefixRanges: [{ addressPrefix: "::", prefixLen: 0 }],
      sourceType: "EXTERNAL",
      sourcePrefixRanges: [{ addressPrefix: "192.168.0.0", prefixLen: 16 }],
      sourcePorts: [1234],
    });
  });

  test("reads when a listener filter is off", () => {
    const range = (start: number, end: number): object => ({ destination_port_range: { start, end } });
    const value = accepted(
      decodeListener,
      listener({
        listener_filters: [{ ...inspector, filter_disabled: { or_match: { rules: [range(80, 81), { not_match: range(443, 444) }] } } }],
      }),
    );
    assert.deepEqual(value.listenerFilters[0]?.filterDisabled, {
      kind: "or",
      rules: [
        { kind: "destinationPortRange", start: 80, end: 81 },
        { kind: "not", rule: { kind: "destinationPortRange", start: 443, end: 444 } },
      ],
    });
  });

  test("opens a TypedStruct and leaves out a filter that only feeds metrics", () => {
    const exchange = {
      name: "istio.metadata_exchange",
      typed_config: any("udpa.type.v1.TypedStruct", {
        type_url: "type.googleapis.com/envoy.tcp.metadataexchange.config.MetadataExchange",
        value: { protocol: "istio-peer-exchange" },
      }),
    };
    const json = listener({ filter_chains: [{ filters: [exchange, tcpProxy("a")] }] });
    assert.deepEqual(issuesOf(decodeListener, json), [
      "warning filter_chains[0].filters[0].typed_config: envoy.filters.network.metadata_exchange is not honoured: it only feeds metrics",
    ]);
  });

  test("keeps Istio's stats filter, and says which metrics of one's own it leaves out", () => {
    const filter = {
      name: "istio.stats",
      typed_config: any("udpa.type.v1.TypedStruct", {
        type_url: "type.googleapis.com/stats.PluginConfig",
        value: { disable_host_header_fallback: true, metrics: [{ name: "request_count", dimensions: { a: "b" } }] },
      }),
    };
    const json = listener({ filter_chains: [{ filters: [filter, tcpProxy("a")] }] });
    assert.deepEqual(issuesOf(decodeListener, json), ["warning filter_chains[0].filters[0].typed_config.value.metrics: is not honoured"]);
  });

  test("opens a TypedStruct that holds a configuration it honours, with the path into it", () => {
    const proxy = {
      name: "tcp",
      typed_config: any("xds.type.v3.TypedStruct", {
        typeUrl: "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        value: { stat_prefix: "tcp", cluster: 1 },
      }),
    };
    assert.deepEqual(issuesOf(decodeListener, listener({ filter_chains: [{ filters: [proxy] }] })), [
      "error filter_chains[0].filters[0].typed_config.value.cluster: expected a string, got 1 (quote it)",
    ]);
  });

  const config = "filter_chains[0].filters[0].typed_config";
  const bad: readonly (readonly [string, object, readonly string[]])[] = [
    ["a missing address", { name: "l" }, ["error address: required, but not given"]],
    [
      "a host name for an address",
      listener({ address: address("localhost", 1) }),
      ['error address.socket_address.address: expected an IP address, got "localhost"'],
    ],
    ["a pipe", listener({ address: { pipe: { path: "/tmp/x" } } }), ["error address.pipe: not supported: only IP sockets are, here"]],
    [
      "UDP",
      listener({ address: { socket_address: { protocol: "UDP", address: "1.2.3.4", port_value: 53 } } }),
      ["error address.socket_address.protocol: not supported: only TCP sockets are"],
    ],
    [
      "a prefix longer than the address",
      matching({ prefix_ranges: [{ address_prefix: "10.0.0.0", prefix_len: 33 }] }),
      ["error filter_chains[0].filter_chain_match.prefix_ranges[0].prefix_len: an IPv4 prefix has at most 32 bits, got 33"],
    ],
    [
      "a partial wildcard",
      matching({ server_names: ["a*.example.com"] }),
      [
        'error filter_chains[0].filter_chain_match.server_names[0]: partial wildcards are not supported: "a*.example.com"; write *.example.com',
      ],
    ],
    [
      "a criterion that nobody implements",
      matching({ address_suffix: "1.2" }),
      ["error filter_chains[0].filter_chain_match.address_suffix: not supported: match on prefix_ranges"],
    ],
    [
      "an empty port range",
      listener({ listener_filters: [{ ...inspector, filter_disabled: { destination_port_range: { start: 80, end: 80 } } }] }),
      [
        "error listener_filters[0].filter_disabled.destination_port_range: an empty range: the end 80 is exclusive and must be above the start 80",
      ],
    ],
    [
      "a filter without configuration",
      listener({ filter_chains: [{ filters: [{ name: "envoy.filters.network.tcp_proxy" }] }] }),
      [`error ${config}: required: Envoy finds the network filter by the type of its configuration`],
    ],
    [
      "a misspelt filter type, with the nearest one",
      listener({ filter_chains: [{ filters: [filter("t", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxi")] }] }),
      [
        `error ${config}: envoy.extensions.filters.network.tcp_proxy.v3.TcpProxi is not supported, did you mean envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy`,
      ],
    ],
    [
      "an HTTP filter where a network filter belongs",
      listener({ filter_chains: [{ filters: [filter("r", "envoy.extensions.filters.http.router.v3.Router")] }] }),
      [`error ${config}: envoy.extensions.filters.http.router.v3.Router is not supported`],
    ],
    [
      "a filter that decides over access and is not honoured",
      listener({ filter_chains: [{ filters: [filter("x", "envoy.extensions.filters.network.ratelimit.v3.RateLimit")] }] }),
      [`error ${config}: envoy.filters.network.ratelimit is not supported: leaving it out would change which requests pass`],
    ],
    [
      "an Any without a type",
      listener({ filter_chains: [{ filters: [{ name: "x", typed_config: {} }] }] }),
      [`error ${config}["@type"]: expected a type URL such as "type.googleapis.com/..."`.replace('["@type"]', ".@type")],
    ],
    [
      "a filter from discovery",
      listener({ filter_chains: [{ filters: [{ ...tcpProxy("a"), config_discovery: {} }] }] }),
      ["error filter_chains[0].filters[0].config_discovery: not supported: dynamic filter configuration"],
    ],
    [
      "a field with a typo, with the nearest one",
      listener({ filter_chain: [] }),
      ["error filter_chain: unknown field, did you mean filter_chains"],
    ],
    [
      "fields of Envoy's that have no effect, as warnings",
      listener({ socket_options: [{}], enable_mptcp: true }),
      ["warning socket_options: is not honoured", "warning enable_mptcp: is not honoured"],
    ],
    [
      "a tunnelling TCP proxy",
      listener({
        filter_chains: [
          {
            filters: [
              filter("t", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", {
                stat_prefix: "t",
                cluster: "a",
                tunneling_config: { hostname: "h" },
              }),
            ],
          },
        ],
      }),
      [`error ${config}.tunneling_config: not supported: tunnelling over HTTP CONNECT`],
    ],
    [
      "a TCP proxy without a target",
      listener({
        filter_chains: [{ filters: [filter("t", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", { stat_prefix: "t" })] }],
      }),
      [`error ${config}: one of cluster, weighted_clusters is required`],
    ],
  ];
  for (const [title, json, expected] of bad) test(`reports ${title}`, () => assert.deepEqual(issuesOf(decodeListener, json), expected));
});

suite("HTTP filters of a connection manager", () => {
  const http = "filter_chains[0].filters[0].typed_config.http_filters[0]";
  const withFilter = (first: object): object => listener({ filter_chains: [{ filters: [connectionManager({ http_filters: [first] })] }] });

  test("are kept with their instance name and canonical extension name", () => {
    const json = withFilter({
      ...filter("my-router", "envoy.extensions.filters.http.router.v3.Router", { suppress_envoy_headers: true }),
      disabled: true,
    });
    const manager = accepted(decodeListener, json).filterChains[0]?.filters[0]?.config as {
      httpFilters: unknown;
      suppressEnvoyHeaders: boolean;
    };
    assert.deepEqual(manager.httpFilters, [
      {
        name: "my-router",
        extension: "envoy.filters.http.router",
        config: { suppressEnvoyHeaders: true, respectExpectedRqTimeout: false, strictCheckHeaders: [] },
        disabled: true,
      },
    ]);
    assert.equal(manager.suppressEnvoyHeaders, true);
  });

  test("that are refused become a warning when they are optional", () => {
    const lua = filter("lua", "envoy.extensions.filters.http.lua.v3.Lua");
    assert.match(issuesOf(decodeListener, withFilter(lua))[0] ?? "", /^error .*envoy\.filters\.http\.lua is not supported/);
    assert.deepEqual(issuesOf(decodeListener, withFilter({ ...lua, is_optional: true })), [
      `warning ${http}.typed_config: envoy.filters.http.lua is not supported: leaving it out would change what requests or responses carry; left out because it is optional`,
    ]);
  });
});
