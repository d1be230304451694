// Which hosts get how much of the load, by zone, subset and hash: against this proxy and, where it is, Envoy.
import assert from "node:assert/strict";
import { suite, test, type TestContext } from "node:test";
import { remainder, xxHash64 } from "../../../src/match/xxhash64.ts";
import { answering, type AnsweringProxy } from "../../support/envoy-proxy.ts";
import { bootstrap, cluster, httpListener } from "../../support/proxy.ts";
import { connectRaw, hasResponses, listenHttp, reply } from "../../support/raw-http.ts";

/** One endpoint: the letter that it answers with is its zone; a capital is unhealthy. */
interface Endpoint {
  readonly zone: string;
  readonly lb?: object;
  readonly weight?: number;
}

const all = (zones: string): readonly Endpoint[] => Array.from(zones, (zone) => ({ zone }));

async function localities(t: TestContext, endpoints: readonly Endpoint[], weights: Readonly<Record<string, number>>): Promise<object[]> {
  const made = endpoints.map(async ({ zone, lb, weight }) => {
    const letter = zone.toLowerCase();
    const origin = await listenHttp(({ socket }) => reply(socket, letter));
    t.after(() => origin.close());
    const endpoint = {
      endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: origin.port } } },
      health_status: zone === letter ? "HEALTHY" : "UNHEALTHY",
      ...(weight === undefined ? {} : { load_balancing_weight: weight }),
      ...(lb && { metadata: { filter_metadata: { "envoy.lb": lb } } }),
    };
    return { letter, endpoint };
  });
  const groups = Map.groupBy(await Promise.all(made), ({ letter }) => letter);
  return [...groups].map(([zone, members]) => ({
    locality: { zone },
    lb_endpoints: members.map(({ endpoint }) => endpoint),
    ...(weights[zone] === undefined ? {} : { load_balancing_weight: weights[zone] }),
  }));
}

/** The bodies of answers to `count` requests, "!" for any other status than 200. */
async function answers(t: TestContext, proxy: AnsweringProxy, heads: readonly string[]): Promise<readonly string[]> {
  const client = await connectRaw(proxy.port("main"));
  t.after(() => void client.socket.destroy());
  for (const [i, head] of heads.entries()) {
    client.socket.write(`GET / HTTP/1.1\r\nHost: lab\r\n${head}\r\n`);
    await client.until(hasResponses(i + 1));
  }
  return [...client.received.matchAll(/HTTP\/1\.1 (\d+)[\s\S]*?\r\n\r\n(\w)/g)].map(([, status, body]) =>
    status === "200" ? (body ?? "") : "!",
  );
}

interface Case {
  readonly title: string;
  readonly endpoints: readonly Endpoint[];
  readonly weights?: Readonly<Record<string, number>>;
  readonly cluster?: object;
  /** Zones of the local cluster; the proxy is in zone a. */
  readonly local?: string;
  readonly match?: object;
  /** Out of 400 answers, within 80. */
  readonly expected: Readonly<Record<string, number>>;
  /** Counters that are not 0. */
  readonly counted?: readonly string[];
}

const count = 400;
const zoneAware = (settings: object = {}): object => ({ common_lb_config: { zone_aware_lb_config: { min_cluster_size: 1, ...settings } } });
const policy = (type: string, fields: object): object => ({
  load_balancing_policy: {
    policies: [
      {
        typed_extension_config: {
          name: type,
          typed_config: { "@type": `type.googleapis.com/envoy.extensions.load_balancing_policies.${type}`, ...fields },
        },
      },
    ],
  },
});
const roundRobin = (zones: object): object =>
  policy("round_robin.v3.RoundRobin", { locality_lb_config: { zone_aware_lb_config: { min_cluster_size: 1, ...zones } } });

const zones: readonly Case[] = [
  {
    title: "a zone that can keeps its load",
    endpoints: all("aabb"),
    local: "ab",
    cluster: zoneAware(),
    expected: { a: 400 },
    counted: ["lb_zone_routing_all_directly"],
  },
  {
    title: "a zone that cannot sends the rest elsewhere",
    endpoints: all("abbbcc"),
    local: "abc",
    cluster: zoneAware(),
    expected: { a: 200, b: 200 },
    counted: ["lb_zone_routing_sampled", "lb_zone_routing_cross_zone"],
  },
  {
    title: "six healthy hosts are needed by default",
    endpoints: all("aabbb"),
    local: "ab",
    expected: { a: 160, b: 240 },
    counted: ["lb_zone_cluster_too_small"],
  },
  { title: "with six it is on by default", endpoints: all("aaabbb"), local: "ab", expected: { a: 400 } },
  { title: "without a local cluster zones count for nothing", endpoints: all("aabb"), cluster: zoneAware(), expected: { a: 200, b: 200 } },
  {
    title: "the proxy's zone must be in the local cluster",
    endpoints: all("aabb"),
    local: "bc",
    cluster: zoneAware(),
    expected: { a: 200, b: 200 },
    counted: ["lb_local_cluster_not_ok"],
  },
  {
    title: "routing_enabled is a share of the picks",
    endpoints: all("aabb"),
    local: "ab",
    cluster: zoneAware({ routing_enabled: { value: 40 } }),
    expected: { a: 280, b: 120 },
  },
  {
    title: "a local cluster in panic leaves zones out",
    endpoints: all("aabb"),
    local: "abABA",
    cluster: zoneAware(),
    expected: { a: 200, b: 200 },
    counted: ["lb_local_cluster_not_ok"],
  },
  {
    title: "or fails the traffic",
    endpoints: all("aabb"),
    local: "abABA",
    cluster: zoneAware({ fail_traffic_on_panic: true }),
    expected: { "!": 400 },
  },
  {
    title: "panic of the cluster",
    endpoints: all("aABBBb"),
    local: "ab",
    cluster: zoneAware(),
    expected: { a: 133, b: 267 },
    counted: ["lb_healthy_panic"],
  },
  {
    title: "the extension has the same settings",
    endpoints: all("abbb"),
    local: "ab",
    cluster: roundRobin({}),
    expected: { a: 200, b: 200 },
  },
  {
    title: "force_local_zone keeps all",
    endpoints: all("abbb"),
    local: "ab",
    cluster: roundRobin({ force_local_zone: {} }),
    expected: { a: 400 },
  },
  {
    title: "force_local_zone with too few hosts",
    endpoints: all("abbb"),
    local: "ab",
    cluster: roundRobin({ force_local_zone: { min_size: 2 } }),
    expected: { a: 200, b: 200 },
  },
  {
    title: "zones by weight",
    endpoints: [{ zone: "a", weight: 3 }, ...all("bbb")],
    local: "ab",
    cluster: roundRobin({ locality_basis: "HEALTHY_HOSTS_WEIGHT" }),
    expected: { a: 400 },
  },
];

const weighted = { common_lb_config: { locality_weighted_lb_config: {} } };
const versions: readonly Endpoint[] = [
  { zone: "a", lb: { version: "1" } },
  { zone: "b", lb: { version: "1" } },
  { zone: "c", lb: { version: "2" } },
];
const selector = [{ keys: ["version"] }];
const subsets = (config: object, more: object = {}): object => ({ lb_subset_config: { subset_selectors: selector, ...config }, ...more });
const inner = {
  policies: [
    {
      typed_extension_config: {
        name: "rr",
        typed_config: { "@type": "type.googleapis.com/envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin" },
      },
    },
  ],
};

const choices: readonly Case[] = [
  { title: "localities without any weight are left out of it", endpoints: all("aab"), cluster: weighted, expected: { a: 267, b: 133 } },
  {
    title: "a fallback list is tried in order",
    endpoints: versions,
    cluster: subsets({ metadata_fallback_policy: "FALLBACK_LIST" }),
    match: { fallback_list: [{ version: "9" }, { version: "2" }] },
    expected: { c: 400 },
    counted: ["lb_subsets_selected"],
  },
  {
    title: "a fallback list of nobody",
    endpoints: versions,
    cluster: subsets({ metadata_fallback_policy: "FALLBACK_LIST" }),
    match: { fallback_list: [{ version: "9" }] },
    expected: { "!": 400 },
  },
  {
    title: "panic_mode_any is nothing without a fallback",
    endpoints: versions,
    cluster: subsets({ panic_mode_any: true }),
    match: { version: "9" },
    expected: { "!": 400 },
  },
  {
    title: "panic_mode_any comes after the default subset",
    endpoints: versions,
    cluster: subsets({ panic_mode_any: true, fallback_policy: "DEFAULT_SUBSET", default_subset: { version: "8" } }),
    match: { version: "9" },
    expected: { a: 133, b: 133, c: 133 },
    counted: ["lb_subsets_fallback_panic"],
  },
  {
    title: "a default subset that has nobody fit gives way to panic_mode_any",
    endpoints: [{ zone: "A", lb: { version: "1" } }, ...all("bb")],
    cluster: subsets(
      { panic_mode_any: true, fallback_policy: "DEFAULT_SUBSET", default_subset: { version: "1" } },
      { common_lb_config: { healthy_panic_threshold: { value: 0 } } },
    ),
    match: { version: "9" },
    expected: { b: 400 },
    counted: ["lb_subsets_fallback_panic"],
  },
  {
    title: "a subset of one host asks nothing of its health",
    endpoints: [{ zone: "A", lb: { version: "1" } }, ...all("bb")],
    cluster: {
      lb_subset_config: { subset_selectors: [{ keys: ["version"], single_host_per_subset: true }] },
      common_lb_config: { healthy_panic_threshold: { value: 0 } },
    },
    match: { version: "1" },
    expected: { a: 400 },
  },
  {
    title: "a subset leaves the weights of localities out",
    endpoints: versions,
    weights: { a: 1, b: 3, c: 1 },
    cluster: subsets({}, weighted),
    match: { version: "1" },
    expected: { a: 200, b: 200 },
  },
  {
    title: "unless it is aware of them",
    endpoints: versions,
    weights: { a: 1, b: 3, c: 1 },
    cluster: subsets({ locality_weight_aware: true }, weighted),
    match: { version: "1" },
    expected: { a: 100, b: 300 },
  },
  {
    title: "and may scale them",
    endpoints: [...versions, { zone: "b", lb: { version: "2" } }, { zone: "b", lb: { version: "2" } }],
    weights: { a: 10, b: 30, c: 10 },
    cluster: subsets({ locality_weight_aware: true, scale_locality_weight: true }, weighted),
    match: { version: "1" },
    expected: { a: 200, b: 200 },
  },
  {
    title: "the extension allows redundant keys",
    endpoints: versions,
    cluster: policy("subset.v3.Subset", { subset_selectors: selector, allow_redundant_keys: true, subset_lb_policy: inner }),
    match: { version: "2", rubbish: "x" },
    expected: { c: 400 },
  },
  {
    title: "and does not unless told so",
    endpoints: versions,
    cluster: policy("subset.v3.Subset", { subset_selectors: selector, subset_lb_policy: inner }),
    match: { version: "2", rubbish: "x" },
    expected: { "!": 400 },
  },
];

for (const [name, start, skip] of answering) {
  suite(`the choice of hosts of ${name}`, { skip }, () => {
    for (const one of [...zones, ...choices]) {
      test(one.title, async (t) => {
        const load = async (cluster_name: string, endpoints: readonly Endpoint[]): Promise<object> => ({
          load_assignment: { cluster_name, endpoints: await localities(t, endpoints, one.weights ?? {}) },
        });
        const clusters = [cluster("origin", 0, { ...(await load("origin", one.endpoints)), ...one.cluster })];
        if (one.local !== undefined) clusters.push(cluster("self", 0, await load("self", all(one.local))));
        const match = one.match === undefined ? {} : { metadata_match: { filter_metadata: { "envoy.lb": one.match } } };
        const listener = httpListener("main", { routes: [{ match: { prefix: "/" }, route: { cluster: "origin", ...match } }] });
        const proxy = await start(t, {
          ...bootstrap([listener], clusters),
          node: { id: "n", cluster: "c", locality: { zone: "a" } },
          ...(one.local !== undefined && { cluster_manager: { local_cluster_name: "self" } }),
        });
        const seen = Map.groupBy(await answers(t, proxy, Array<string>(count).fill("")), (answer) => answer);
        const figures = Object.fromEntries([...seen].map(([answer, group]) => [answer, group.length]));
        for (const key of new Set([...Object.keys(figures), ...Object.keys(one.expected)])) {
          const difference = Math.abs((figures[key] ?? 0) - (one.expected[key] ?? 0));
          const allowed = (one.expected[key] ?? 0) % count === 0 ? 0 : 80;
          assert.ok(difference <= allowed, `${JSON.stringify(figures)} instead of ${JSON.stringify(one.expected)}`);
        }
        for (const stat of one.counted ?? []) assert.ok(((await proxy.stat(`cluster.origin.${stat}`)) ?? 0) > 0, stat);
      });
    }

    test("use_hash_policy draws the weighted cluster by the route's hash", async (t) => {
      const clusters = await Promise.all(
        ["a", "b"].map(async (letter) => {
          const origin = await listenHttp(({ socket }) => reply(socket, letter));
          t.after(() => origin.close());
          return cluster(letter, origin.port);
        }),
      );
      const route = {
        weighted_clusters: {
          use_hash_policy: true,
          clusters: [
            { name: "a", weight: 30 },
            { name: "b", weight: 70 },
          ],
        },
        // Envoy adds no cookie for the choice of a cluster.
        hash_policy: [{ header: { header_name: "x-user" } }, { cookie: { name: "c", ttl: "60s" } }],
      };
      const proxy = await start(t, bootstrap([httpListener("main", { routes: [{ match: { prefix: "/" }, route }] })], clusters));
      const users = Array.from({ length: 40 }, (_, i) => `user-${i}`);
      const expected = users.map((user) => (remainder(xxHash64(user), 100) < 30 ? "a" : "b"));
      assert.deepEqual(
        await answers(
          t,
          proxy,
          users.map((user) => `x-user: ${user}\r\n`),
        ),
        expected,
      );
    });
  });
}
