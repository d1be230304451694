import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { decodeResources, type ResourceKind } from "../../../src/envoy/bootstrap-decoder.ts";
import { DecodeMemory } from "../../../src/envoy/decode/remembered.ts";
import { diffSnapshots, isEmptyUpdate } from "../../../src/snapshot/diff.ts";
import { overlappingChains } from "../../../src/snapshot/filter-chain-overlap.ts";
import { buildSnapshot, type Snapshot, type SnapshotOptions } from "../../../src/snapshot/snapshot.ts";
import { formatPath } from "../../../src/source/yaml-document.ts";
import { anyFilterChainMatch } from "../../../src/envoy/listener/listener-decoder.ts";
import { seededRandom } from "../../support/cluster-models.ts";
import { address, any, connectionManager, context, filter, router, staticCluster, tcpProxy } from "../envoy/decoding.ts";

const supported = {
  supportedListenerFilters: new Set(["envoy.filters.listener.tls_inspector"]),
  supportedNetworkFilters: new Set([
    "envoy.filters.network.tcp_proxy",
    "envoy.filters.network.http_connection_manager",
    "envoy.filters.network.sni_cluster",
  ]),
  supportedHttpFilters: new Set(["envoy.filters.http.router", "envoy.filters.http.rbac"]),
};

type Json = Partial<Record<ResourceKind, readonly unknown[]>>;

function build(json: Json, options: Partial<SnapshotOptions> = {}): { snapshot: Snapshot; lines: readonly string[] } {
  const decoded = decodeResources(json, context);
  const { snapshot, issues } = buildSnapshot(decoded.resources, { ...supported, rejected: decoded.rejected, ...options });
  const lines = issues.map((issue) => `${issue.severity} ${issue.kind} ${issue.name} ${formatPath(issue.path)}: ${issue.message}`);
  return { snapshot, lines };
}
let nextPort = 1000;
function listener(name: string, ...filters: readonly object[]): Record<string, unknown> {
  return { name, address: address("127.0.0.1", nextPort++), filter_chains: [{ filters }] };
}
function routesTo(cluster: string, fields: object = {}): object {
  return {
    virtual_hosts: [{ name: "v", domains: ["*"], routes: [{ name: "to", match: { prefix: "/" }, route: { cluster }, ...fields }] }],
  };
}
const a = staticCluster("a");
const fault = filter("envoy.filters.http.fault", "envoy.extensions.filters.http.fault.v3.HTTPFault");
const chains = "filter_chains[0]";

suite("buildSnapshot", () => {
  test("holds everything that is right, by name and with versions", () => {
    const { snapshot, lines } = build({ listeners: [listener("l", tcpProxy("a"))], clusters: [a] });
    assert.deepEqual(lines, []);
    assert.deepEqual([...snapshot.clusters.keys()], ["a"]);
    assert.equal(snapshot.listeners.get("l")?.version, "1");
  });

  const cases: readonly (readonly [string, Json, readonly string[], readonly string[]])[] = [
    [
      "the second of two clusters of one name",
      { clusters: [a, staticCluster("a", { connect_timeout: "1s" })] },
      ["error clusters a : a cluster named a is already there"],
      [],
    ],
    [
      "a route to a cluster that an inline table checks",
      { listeners: [listener("l", connectionManager({ route_config: routesTo("gone") }))] },
      [`error listeners l ${chains}: route to of virtual host v goes to cluster gone, which does not exist`],
      [],
    ],
    [
      "a route in a table by name, with a warning",
      { routes: [{ name: "r", ...routesTo("gone") }] },
      ["warning routes r virtual_hosts[0].routes[0]: route to of virtual host v goes to cluster gone, which does not exist (yet)"],
      ["r"],
    ],
    [
      "a TCP proxy to nowhere, with a warning",
      { listeners: [listener("l", tcpProxy("gone"))] },
      [`warning listeners l ${chains}: the TCP proxy goes to cluster gone, which does not exist (yet)`],
      ["l"],
    ],
    [
      "a missing route configuration, with a warning",
      { listeners: [listener("l", connectionManager({ route_config: undefined, rds: { route_config_name: "r" } }))] },
      [`warning listeners l ${chains}: the route configuration r does not exist (yet): requests find no route`],
      ["l"],
    ],
    [
      "missing endpoints, with a warning",
      { clusters: [{ name: "e", type: "EDS" }] },
      ["warning clusters e eds_cluster_config: there are no endpoints named e (yet)"],
      ["e"],
    ],
    [
      "a chain that ends without a terminal filter",
      { listeners: [listener("l", filter("s", "envoy.extensions.filters.network.sni_cluster.v3.SniCluster"))] },
      [`error listeners l ${chains}: the chain ends with s, which is not a terminal filter`],
      [],
    ],
    [
      "a terminal filter before others",
      { clusters: [a], listeners: [listener("l", tcpProxy("a"), tcpProxy("a"))] },
      [`error listeners l ${chains}: the terminal filter envoy.filters.network.tcp_proxy must be the last of its chain`],
      ["a"],
    ],
    [
      "HTTP filters without a router",
      { listeners: [listener("l", connectionManager({ http_filters: [] }))] },
      [`error listeners l ${chains}: the http_filters need envoy.filters.http.router as their last one`],
      [],
    ],
    [
      "a router before others",
      {
        listeners: [
          listener("l", connectionManager({ http_filters: [router, filter("r", "envoy.extensions.filters.http.rbac.v3.RBAC")] })),
        ],
      },
      [`error listeners l ${chains}: envoy.filters.http.router must be the last of the http_filters`],
      [],
    ],
    [
      "a listener without chains",
      { listeners: [{ name: "l", address: address("127.0.0.1", 1) }] },
      ["error listeners l : a listener needs at least one filter chain"],
      [],
    ],
    [
      "a network filter without a behaviour",
      {
        clusters: [a],
        listeners: [listener("l", filter("r", "envoy.extensions.filters.network.rbac.v3.RBAC", { stat_prefix: "r" }), tcpProxy("a"))],
      },
      [`error listeners l ${chains}: the network filter envoy.filters.network.rbac is not supported`],
      ["a"],
    ],
    [
      "an HTTP filter without a behaviour",
      {
        listeners: [
          listener(
            "l",
            connectionManager({
              http_filters: [
                { ...fault, typed_config: any("envoy.extensions.filters.http.fault.v3.HTTPFault", { abort: { http_status: 503 } }) },
                router,
              ],
            }),
          ),
        ],
      },
      [`error listeners l ${chains}: the HTTP filter envoy.filters.http.fault is not supported`],
      [],
    ],
    [
      "overlapping chains",
      {
        clusters: [a],
        listeners: [
          {
            ...listener("l"),
            filter_chains: [
              { filter_chain_match: { server_names: ["x", "y"] }, filters: [tcpProxy("a")] },
              { filter_chain_match: { server_names: ["y"] }, filters: [tcpProxy("a")] },
            ],
          },
        ],
      },
      ["error listeners l filter_chains[1]: matches the same connections as filter_chains[0]"],
      ["a"],
    ],
    [
      "two listeners on one address",
      {
        clusters: [a],
        listeners: [
          { ...listener("l", tcpProxy("a")), address: address("0.0.0.0", 80) },
          { ...listener("m", tcpProxy("a")), address: address("0.0.0.0", 80) },
        ],
      },
      ["error listeners m address: 0.0.0.0:80 is already the address of listener l"],
      ["a", "l"],
    ],
  ];
  for (const [title, json, expected, kept] of cases) {
    test(`reports ${title}`, () => {
      const { snapshot, lines } = build(json);
      assert.deepEqual(lines, expected);
      if (title.startsWith("the second")) assert.equal(snapshot.clusters.get("a")?.value.connectTimeoutMs, 5000);
      else assert.deepEqual([...snapshot.clusters.keys(), ...snapshot.routes.keys(), ...snapshot.listeners.keys()], kept);
    });
  }

  test("lets two listeners share an address when one does not bind, or when the port is the kernel's choice", () => {
    const unbound = { ...listener("m", tcpProxy("a")), address: address("0.0.0.0", 80), bind_to_port: false };
    const any0 = [listener("x", tcpProxy("a")), listener("y", tcpProxy("a"))].map((json) => ({
      ...json,
      address: address("127.0.0.1", 0),
    }));
    assert.deepEqual(
      build({ clusters: [a], listeners: [{ ...listener("l", tcpProxy("a")), address: address("0.0.0.0", 80) }, unbound, ...any0] }).lines,
      [],
    );
  });

  test("leaves out a filter without a behaviour when nothing makes it act", () => {
    const { snapshot, lines } = build({ listeners: [listener("l", connectionManager({ http_filters: [fault, router] }))] });
    assert.deepEqual(lines, [
      `warning listeners l ${chains}: the HTTP filter envoy.filters.http.fault is not supported; it is left out, since nothing here makes it act`,
    ]);
    const manager = snapshot.listeners.get("l")?.value.filterChains[0]?.filters[0]?.config as {
      httpFilters: readonly { extension: string }[];
    };
    assert.deepEqual(
      manager.httpFilters.map(({ extension }) => extension),
      ["envoy.filters.http.router"],
    );
  });

  test("refuses such a filter when a route gives it something to do, be the table inline or by name", () => {
    const override = {
      typed_per_filter_config: {
        "envoy.filters.http.fault": any("envoy.extensions.filters.http.fault.v3.HTTPFault", { abort: { http_status: 503 } }),
      },
    };
    const inline = listener("l", connectionManager({ http_filters: [fault, router], route_config: routesTo("a", override) }));
    const named = listener(
      "m",
      connectionManager({ http_filters: [fault, router], route_config: undefined, rds: { route_config_name: "r" } }),
    );
    const { snapshot } = build({ clusters: [a], listeners: [inline, named], routes: [{ name: "r", ...routesTo("a", override) }] });
    assert.deepEqual([...snapshot.listeners.keys()], []);
  });

  test("warns about secrets that are neither here nor promised", () => {
    const tls = {
      name: "t",
      typed_config: any("envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", {
        common_tls_context: { tls_certificate_sds_secret_configs: [{ name: "default" }] },
      }),
    };
    const clusters = [staticCluster("a", { transport_socket: tls })];
    assert.deepEqual(build({ clusters }).lines, [
      "warning clusters a transport_socket: the secret default does not exist (yet): no handshake succeeds without it",
    ]);
    assert.deepEqual(build({ clusters }, { externalSecret: (name) => name === "default" }).lines, []);
  });

  test("keeps the last good version of what is refused, by the decoders or here, and forgets what is gone", () => {
    const good = build({
      clusters: [a, staticCluster("b")],
      listeners: [listener("l", tcpProxy("a")), listener("gone", tcpProxy("a"))],
    }).snapshot;
    const broken = {
      listeners: [listener("l", filter("s", "envoy.extensions.filters.network.sni_cluster.v3.SniCluster"))],
      clusters: [{ name: "a", typo: 1 }],
    };
    const { snapshot } = build(broken, { previous: good });
    assert.equal(snapshot.version, good.version + 1);
    assert.equal(snapshot.listeners.get("l"), good.listeners.get("l"));
    assert.equal(snapshot.clusters.get("a"), good.clusters.get("a"));
    assert.deepEqual([...snapshot.clusters.keys(), ...snapshot.listeners.keys()], ["a", "l"]);
  });

  test("accepts a listener whose route goes to a cluster that was refused", () => {
    const { snapshot, lines } = build({
      clusters: [{ name: "a", typo: 1 }],
      listeners: [listener("l", connectionManager({ route_config: routesTo("a") }))],
    });
    assert.deepEqual(lines, [`warning listeners l ${chains}: route to of virtual host v goes to cluster a, which was refused`]);
    assert.equal(snapshot.listeners.size, 1);
  });
});

suite("diffSnapshots", () => {
  const before = build({ clusters: [a, staticCluster("b"), staticCluster("c")] }).snapshot;

  test("sets everything when there is nothing before", () => {
    const update = diffSnapshots(undefined, before);
    assert.deepEqual(
      update.clusters.set.map(({ name }) => name),
      ["a", "b", "c"],
    );
    assert.deepEqual(update.clusters.removed, []);
  });

  test("sets what changed and removes what left", () => {
    const after = build({ clusters: [a, staticCluster("b", { connect_timeout: "1s" })] }, { previous: before }).snapshot;
    const update = diffSnapshots(before, after);
    assert.deepEqual(
      update.clusters.set.map(({ name }) => name),
      ["b"],
    );
    assert.deepEqual(update.clusters.removed, ["c"]);
    assert.equal(update.version, after.version);
    assert.deepEqual(
      [...after.clusters.values()].map(({ name, version }) => [name, version]),
      [
        ["a", "1"],
        ["b", "2"],
      ],
    );
    assert.equal(isEmptyUpdate(update), false);
  });

  test("is empty for the same content in another order of keys", () => {
    const reversed = [a, staticCluster("b"), staticCluster("c")].map((json) => Object.fromEntries(Object.entries(json).toReversed()));
    assert.equal(isEmptyUpdate(diffSnapshots(before, build({ clusters: reversed }, { previous: before }).snapshot)), true);
  });
});

suite("diffSnapshots of route configurations", () => {
  const memory = new DecodeMemory();
  const virtualHost = (name: string, cluster = "a"): object => ({
    name,
    domains: [name],
    routes: [{ match: { prefix: "/" }, route: { cluster } }],
  });
  const hosts = ["v1", "v2", "v3", "v4"].map((name) => virtualHost(name));
  const load = (virtualHosts: readonly object[], level: object = {}, previous?: Snapshot): Snapshot => {
    const json = { clusters: [a], routes: [{ name: "80", virtual_hosts: virtualHosts, ...level }] };
    const { resources } = decodeResources(json, { ...context, memory });
    return buildSnapshot(resources, { ...supported, ...(previous ? { previous } : {}) }).snapshot;
  };
  const before = load(hosts);
  const cases: readonly (readonly [string, readonly object[], object, number, string])[] = [
    ["nothing for the same hosts", hosts, {}, 0, ""],
    ["the one that changed and the one that left", [virtualHost("v1", "b"), ...hosts.slice(1, 3)], {}, 0, "set v1, removed v4"],
    ["the one that came", [...hosts, virtualHost("v5")], {}, 0, "set v5, removed "],
    ["the whole when most of it changed", hosts.map((_, i) => virtualHost(`w${i}`)), {}, 1, ""],
    ["the whole when it changed above its hosts", hosts, { request_headers_to_remove: ["x-a"] }, 1, ""],
    ["nothing for a configuration that was refused", [...hosts, { ...virtualHost("v5"), name: "v1" }], {}, 0, ""],
  ];
  for (const [title, virtualHosts, level, whole, patch] of cases) {
    test(`gives ${title}`, () => {
      const { routes } = diffSnapshots(before, load(virtualHosts, level, before));
      assert.equal(routes.set.length, whole);
      const [only] = routes.patched;
      assert.equal(only === undefined ? "" : `set ${only.set.map(({ name }) => name).join()}, removed ${only.removed.join()}`, patch);
    });
  }
});

suite("a snapshot made from the one before", () => {
  test("is what a whole check gives, after each of many changes, good and bad", () => {
    const random = seededRandom(3);
    const pick = (count: number): number => Math.floor(random() * count);
    const memory = new DecodeMemory();
    const eds = (name: string): object => ({
      name,
      type: "EDS",
      eds_cluster_config: { eds_config: { ads: {} }, service_name: random() < 0.05 ? "elsewhere" : name },
      ...(random() < 0.1 ? { connect_timeout: "7s" } : {}),
    });
    const assignment = (name: string): object => ({
      cluster_name: name,
      endpoints: [{ priority: 0 }, ...(random() < 0.3 ? [{ priority: 1 }] : [])],
    });
    const host = (name: string): object => ({
      name,
      domains: [random() < 0.1 ? "shared" : name],
      routes: [{ match: { prefix: "/" }, route: { cluster: random() < 0.1 ? "gone" : name } }],
    });
    const bad = { name: 7 };
    type Lists = Record<"clusters" | "endpoints" | "listeners", readonly object[]> & { readonly hosts: readonly object[] };
    const names = Array.from({ length: 12 }, (_, index) => `c${index}`);
    let lists: Lists = { clusters: names.map(eds), endpoints: names.map(assignment), listeners: [], hosts: names.map(host) };
    let previous: Snapshot | undefined;
    let patches = 0;
    for (let step = 0; step < 600; step++) {
      const kind = (["clusters", "endpoints", "listeners", "hosts"] as const)[pick(4)] ?? "hosts";
      const name = names[pick(names.length)] ?? "c0";
      const made = { clusters: eds, endpoints: assignment, hosts: host, listeners: (to: string) => listener(to, tcpProxy(to)) }[kind](name);
      const without = lists[kind].filter((each) => !Object.values(each).includes(name));
      // Mostly sound: what is wrong is taken away again.
      const repaired = { ...lists, [kind]: without.filter((each) => each !== bad).toSpliced(pick(without.length + 1), 0, made) };
      lists =
        random() < 0.05 ? { ...repaired, [kind]: [...repaired[kind], bad] } : random() < 0.05 ? { ...repaired, [kind]: without } : repaired;
      if (random() < 0.1) lists = { clusters: names.map(eds), endpoints: names.map(assignment), listeners: [], hosts: names.map(host) };
      const json = {
        clusters: lists.clusters,
        endpoints: lists.endpoints,
        listeners: lists.listeners,
        routes: [{ name: "80", virtual_hosts: lists.hosts }],
      };
      const remembered = decodeResources(json, { ...context, memory });
      const fresh = decodeResources(json, context);
      assert.deepEqual(remembered, fresh, `decoded at step ${step}`);
      const options = { ...supported, rejected: fresh.rejected };
      const patched = buildSnapshot(remembered.resources, { ...options, ...(previous ? { previous } : {}) });
      // A copy is not known to be sound.
      const whole = buildSnapshot(fresh.resources, { ...options, ...(previous ? { previous: { ...previous } } : {}) });
      assert.deepEqual(resourcesOf(patched.snapshot), resourcesOf(whole.snapshot), `step ${step}`);
      assert.deepEqual(patched.issues, whole.issues, `issues at step ${step}`);
      if (patched.issues.length === 0) patches += 1;
      previous = patched.snapshot;
    }
    assert.ok(patches > 50, `only ${patches} of the states were sound`);
  });
});

function resourcesOf(snapshot: Snapshot): unknown {
  return [snapshot.clusters, snapshot.endpoints, snapshot.routes, snapshot.listeners, snapshot.secrets].map(({ list }) => list);
}

suite("overlappingChains", () => {
  const match = (fields: object): typeof anyFilterChainMatch => ({ ...anyFilterChainMatch, ...fields });
  for (const [title, matches, expected] of [
    ["nothing among different ports", [match({ destinationPort: 1 }), match({ destinationPort: 2 }), match({})], []],
    ["nothing between a name and any name", [match({ serverNames: ["a"] }), match({})], []],
    ["two that match everything", [match({}), match({})], [[1, 0]]],
    [
      "two that share one combination of many",
      [match({ serverNames: ["a", "b"], applicationProtocols: ["h2", "x"] }), match({ serverNames: ["b"], applicationProtocols: ["x"] })],
      [[1, 0]],
    ],
    ["no overlap within one chain that repeats itself", [match({ serverNames: ["a", "a"] })], []],
  ] as const) {
    test(`finds ${title}`, () => assert.deepEqual(overlappingChains(matches.map((each) => ({ match: each }))), expected));
  }
  test("compares matches of a million combinations as a whole", () => {
    const many = Array.from({ length: 1000 }, (_, index) => `n${index}`);
    const huge = match({ serverNames: many, applicationProtocols: many });
    assert.deepEqual(overlappingChains([{ match: huge }, { match: huge }]), [[1, 0]]);
  });
});
