// Consistent hashing: the same key goes to the same host as with Envoy, whatever the key and the policy.
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { answering, envoyProgram, startEnvoy, startOurs, type AnsweringProxy } from "../../support/envoy-proxy.ts";
import { until } from "../../support/l4-proxy.ts";
import { bootstrap, cluster, httpListener } from "../../support/proxy.ts";
import { connectRaw, hasResponses, listenHttp } from "../../support/raw-http.ts";

const endpoint = (index: number, weight = 1): object => ({
  load_balancing_weight: weight,
  endpoint: { hostname: `host-${index}.lab`, address: { socket_address: { address: `127.9.0.${index}`, port_value: 9 } } },
});

const hosts = (weights: readonly number[], more: object = {}): object => ({
  load_assignment: { cluster_name: "origin", endpoints: [{ lb_endpoints: weights.map((weight, i) => endpoint(i + 1, weight)) }] },
  ...more,
});

const zones = (policy: object): object => ({
  load_assignment: {
    cluster_name: "origin",
    endpoints: [
      { locality: { zone: "a" }, load_balancing_weight: 3, lb_endpoints: [endpoint(1), endpoint(2, 2)] },
      { locality: { zone: "b" }, load_balancing_weight: 1, lb_endpoints: [endpoint(3), endpoint(4)] },
    ],
  },
  common_lb_config: { locality_weighted_lb_config: {} },
  ...policy,
});

const header = { header: { header_name: "x-key" } };
const equal = [1, 1, 1, 1, 1];
// Envoy hashes by hostname only where names are resolved.
const byHostname = { type: "STRICT_DNS", common_lb_config: { consistent_hashing_lb_config: { use_hostname_for_hashing: true } } };
const keyed = (weights: readonly number[]): object => ({
  load_assignment: {
    cluster_name: "origin",
    endpoints: [
      {
        lb_endpoints: weights.map((w, i) => ({
          ...endpoint(i + 1, w),
          metadata: { filter_metadata: { "envoy.lb": { hash_key: `key-${i}` } } },
        })),
      },
    ],
  },
});

// What -> cluster, hash policy.
/** How many of 1, 2, ... 12 requests under way are at the host of their key, with three hosts. */
const atItsHost: Readonly<Record<number, readonly number[]>> = {
  100: [1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5],
  150: [1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7],
  300: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
};

const cases: readonly (readonly [title: string, cluster: object, policy: readonly object[]])[] = [
  ["a ring", hosts(equal, { lb_policy: "RING_HASH" }), [header]],
  ["a ring by weights", hosts([1, 2, 5], { lb_policy: "RING_HASH" }), [header]],
  [
    "a ring of sizes",
    hosts([3, 1, 1], { lb_policy: "RING_HASH", ring_hash_lb_config: { minimum_ring_size: 7, maximum_ring_size: 9 } }),
    [header],
  ],
  ["a ring by MurmurHash2", hosts(equal, { lb_policy: "RING_HASH", ring_hash_lb_config: { hash_function: "MURMUR_HASH_2" } }), [header]],
  ["a ring by hostname", hosts(equal, { lb_policy: "RING_HASH", ...byHostname }), [header]],
  ["a ring by hash_key", { ...keyed(equal), lb_policy: "RING_HASH" }, [header]],
  ["a ring by weighted localities", zones({ lb_policy: "RING_HASH" }), [header]],
  ["maglev", hosts(equal, { lb_policy: "MAGLEV" }), [header]],
  ["maglev by weights", hosts([1, 2, 5], { lb_policy: "MAGLEV" }), [header]],
  ["maglev of a size", hosts([3, 1, 1], { lb_policy: "MAGLEV", maglev_lb_config: { table_size: 13 } }), [header]],
  ["maglev by hostname", hosts(equal, { lb_policy: "MAGLEV", ...byHostname }), [header]],
  ["maglev by weighted localities", zones({ lb_policy: "MAGLEV" }), [header]],
  ["a query parameter", hosts(equal, { lb_policy: "MAGLEV" }), [{ query_parameter: { name: "key" } }]],
  ["a cookie", hosts(equal, { lb_policy: "RING_HASH" }), [{ cookie: { name: "key" } }]],
  ["the source address", hosts(equal, { lb_policy: "RING_HASH" }), [{ connection_properties: { source_ip: true } }]],
  ["two policies", hosts(equal, { lb_policy: "MAGLEV" }), [header, { query_parameter: { name: "other" } }]],
  ["a terminal policy", hosts(equal, { lb_policy: "MAGLEV" }), [{ ...header, terminal: true }, { query_parameter: { name: "other" } }]],
  ["the path", hosts(equal, { lb_policy: "MAGLEV" }), [{ header: { header_name: ":path" } }]],
  ["retries, each at another host", hosts(equal, { lb_policy: "MAGLEV" }), [header]],
];

suite("the same key goes to the same host as with Envoy", { skip: "missing" in envoyProgram ? envoyProgram.missing : false }, () => {
  for (const [title, over, policy] of cases) {
    test(title, async (t) => {
      const retry = title.startsWith("retries")
        ? {
            retry_policy: {
              retry_on: "connect-failure",
              num_retries: 2,
              retry_host_predicate: [previousHosts],
              host_selection_retry_max_attempts: 5,
            },
          }
        : {};
      const routes = [
        {
          match: { prefix: "/" },
          route: { cluster: "origin", hash_policy: policy, ...retry },
          response_headers_to_add: [{ header: { key: "x-host", value: "%UPSTREAM_HOST%" } }],
        },
      ];
      const config = bootstrap([httpListener("main", { routes })], [cluster("origin", 0, over)]);
      const [ours, theirs] = [await startOurs(t, config), await startEnvoy(t, config)];
      assert.deepEqual(await chosen(t, ours), await chosen(t, theirs));
    });
  }
});

for (const [name, start, skip] of answering) {
  for (const factor of [100, 150, 300]) {
    test(
      `${name}: with hash_balance_factor ${factor} requests of one key stay at their host as long as it has room`,
      { skip },
      async (t) => {
        const held: number[] = [];
        const origins = await Promise.all(
          [0, 1, 2].map(async (index) => {
            const origin = await listenHttp(() => void held.push(index));
            t.after(() => origin.close());
            return { endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: origin.port } } } };
          }),
        );
        const bounded = {
          lb_policy: "MAGLEV",
          common_lb_config: { consistent_hashing_lb_config: { hash_balance_factor: factor } },
          load_assignment: { cluster_name: "origin", endpoints: [{ lb_endpoints: origins }] },
        };
        const routes = [{ match: { prefix: "/" }, route: { cluster: "origin", hash_policy: [header] } }];
        const proxy = await start(t, bootstrap([httpListener("main", { routes })], [cluster("origin", 0, bounded)]));
        const own: number[] = [];
        for (let sent = 1; sent <= 12; sent++) {
          const client = await connectRaw(proxy.port("main"));
          t.after(() => void client.socket.destroy());
          client.socket.write("GET / HTTP/1.1\r\nHost: lab\r\nx-key: one\r\n\r\n");
          await until(() => held.length === sent);
          own.push(held.filter((index) => index === held[0]).length);
        }
        assert.deepEqual(own, atItsHost[factor]);
      },
    );
  }
}

const previousHosts = {
  name: "envoy.retry_host_predicates.previous_hosts",
  typed_config: { "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate" },
};

/** Where requests of 60 keys went. Nobody listens there: a refusal tells the host as well as an answer. */
async function chosen(t: TestContext, proxy: AnsweringProxy): Promise<readonly string[]> {
  const client = await connectRaw(proxy.port("main"));
  t.after(() => void client.socket.destroy());
  for (let i = 0; i < 60; i++) {
    client.socket.write(`GET /p${i}?key=k${i}&other=o${i % 7} HTTP/1.1\r\nHost: lab\r\nx-key: user-${i}\r\ncookie: key=c${i}\r\n\r\n`);
    await client.until(hasResponses(i + 1));
  }
  const found = [...client.received.matchAll(/^x-host: (.*)$/gim)].map((match) => match[1]!.trim());
  assert.equal(found.length, 60, client.received.slice(0, 400));
  return found;
}
