import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeBootstrap } from "../../../src/envoy/bootstrap-decoder.ts";
import { address, any, connectionManager, context, filter, pem, router, staticCluster, tcpProxy } from "./decoding.ts";

// A bootstrap with something of every decoder.
const sample: unknown = {
  node: { id: "n", locality: { zone: "z" } },
  admin: { address: address("127.0.0.1", 9901) },
  layered_runtime: { layers: [{ name: "l", static_layer: { a: { b: 1 } } }] },
  static_resources: {
    listeners: [
      {
        name: "l",
        address: address("0.0.0.0", 1),
        listener_filters: [
          {
            ...filter("t", "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"),
            filter_disabled: {
              or_match: { rules: [{ any_match: true }, { not_match: { destination_port_range: { start: 1, end: 2 } } }] },
            },
          },
        ],
        access_log: [
          {
            typed_config: any("envoy.extensions.access_loggers.file.v3.FileAccessLog", {
              path: "/x",
              log_format: { json_format: { a: ["b"] } },
            }),
            filter: { response_flag_filter: { flags: ["UF"] } },
          },
        ],
        filter_chains: [
          {
            filter_chain_match: {
              server_names: ["a.b"],
              prefix_ranges: [{ address_prefix: "10.0.0.0", prefix_len: 8 }],
              source_ports: [5],
            },
            transport_socket: {
              name: "t",
              typed_config: any("envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext", {
                common_tls_context: {
                  tls_certificates: [{ certificate_chain: { inline_string: pem.certificate }, private_key: { inline_string: pem.key } }],
                  alpn_protocols: ["h2"],
                },
              }),
            },
            filters: [
              filter("r", "envoy.extensions.filters.network.rbac.v3.RBAC", {
                stat_prefix: "r",
                rules: { policies: { p: { permissions: [{ not_rule: { any: true } }], principals: [{ any: true }] } } },
              }),
              connectionManager({
                http_filters: [
                  filter("j", "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication", {
                    providers: { p: { local_jwks: { inline_string: '{"keys":[]}' } } },
                    rules: [{ match: { prefix: "/" }, requires: { provider_name: "p" } }],
                  }),
                  filter("f", "envoy.extensions.filters.http.fault.v3.HTTPFault", {
                    delay: { fixed_delay: "1s", percentage: { numerator: 1 } },
                  }),
                  router,
                ],
                route_config: {
                  virtual_hosts: [
                    {
                      name: "v",
                      domains: ["*"],
                      routes: [
                        {
                          match: { safe_regex: { regex: "/a+" }, headers: [{ name: "x", string_match: { prefix: "y" } }] },
                          route: {
                            weighted_clusters: { clusters: [{ name: "a", weight: 1 }] },
                            retry_policy: { retry_on: "5xx", retry_back_off: { base_interval: "1s" } },
                            hash_policy: [{ header: { header_name: "x" } }],
                          },
                          request_headers_to_add: [{ header: { key: "a", value: "b" } }],
                        },
                        { match: { prefix: "/" }, redirect: { path_redirect: "/x" } },
                      ],
                    },
                  ],
                },
              }),
            ],
          },
        ],
        default_filter_chain: { filters: [tcpProxy("a")] },
      },
    ],
    clusters: [
      staticCluster("a", {
        circuit_breakers: { thresholds: [{ max_requests: 1 }] },
        load_balancing_policy: {
          policies: [
            {
              typed_extension_config: {
                name: "m",
                typed_config: any("envoy.extensions.load_balancing_policies.maglev.v3.Maglev", { table_size: 101 }),
              },
            },
          ],
        },
        transport_socket_matches: [
          {
            name: "m",
            match: { a: 1 },
            transport_socket: { name: "r", typed_config: any("envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer") },
          },
        ],
      }),
    ],
    secrets: [{ name: "s", validation_context: { trusted_ca: { inline_string: pem.certificate } } }],
  },
};

// A small generator with a fixed seed (mulberry32), so that a failure can be met again.
function randomness(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const oddities: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e99,
  Number.NaN,
  "",
  "x",
  "1s",
  "*",
  "(",
  "\u0000",
  [],
  {},
  [[]],
  { "@type": 5 },
  { "@type": "a/b" },
  { constructor: 1 },
  "a".repeat(9000),
];

function mutate(json: unknown, random: () => number, rate: number): unknown {
  if (random() < rate) return oddities[Math.floor(random() * oddities.length)];
  if (Array.isArray(json)) {
    const items = json.map((item: unknown) => mutate(item, random, rate));
    return random() < rate ? [...items, ...items] : items;
  }
  if (typeof json !== "object" || json === null) return json;
  const entries = Object.entries(json).flatMap(([key, value]): [string, unknown][] => {
    if (random() < rate) return [];
    return [[random() < rate ? `${key.slice(0, -1)}z` : key, mutate(value, random, rate)]];
  });
  return Object.fromEntries(entries);
}

test("the sample that is mutated is itself accepted", () => {
  assert.deepEqual(decodeBootstrap(sample, context).issues, []);
});

test("no mutation of a bootstrap makes a decoder throw, and every mutation that loses a resource says why", () => {
  for (let seed = 1; seed <= 1500; seed++) {
    const random = randomness(seed);
    const json = mutate(sample, random, seed % 3 === 0 ? 0.002 : 0.02);
    const decoded = decodeBootstrap(json, context);
    const errors = decoded.issues.filter((issue) => issue.severity === "error");
    assert.equal(errors.length > 0, !decoded.sound || decoded.rejected.length > 0, `seed ${seed}`);
  }
});
