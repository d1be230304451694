import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { decodeBootstrap, decodeResources } from "../../../src/envoy/bootstrap-decoder.ts";
import { formatPath } from "../../../src/source/yaml-document.ts";
import { address, context, staticCluster, tcpProxy } from "./decoding.ts";

const listener = (name: string, port = 80): object => ({
  name,
  address: address("127.0.0.1", port),
  filter_chains: [{ filters: [tcpProxy("a")] }],
});
const lines = (issues: ReturnType<typeof decodeBootstrap>["issues"]): readonly string[] =>
  issues.map((issue) => `${issue.severity} ${formatPath(issue.path)}: ${issue.message}`);

const endpointAt = (port: number): object => ({ endpoint: { address: address("127.0.0.1", port) } });
const twoPriorities = {
  cluster_name: "self",
  endpoints: [{ lb_endpoints: [endpointAt(1)] }, { priority: 1, lb_endpoints: [endpointAt(2)] }],
};

suite("decodeBootstrap", () => {
  test("reads node, admin, resources and runtime", () => {
    const { bootstrap, issues, sound } = decodeBootstrap(
      {
        node: { id: "n", cluster: "c", locality: { region: "r" }, metadata: { a: 1 } },
        admin: { address: address("127.0.0.1", 9901) },
        static_resources: { listeners: [listener("l")], clusters: [staticCluster("a")] },
        layered_runtime: {
          layers: [
            { name: "base", static_layer: { a: { b: 1 }, c: 2, "envoy.resource_limits.listener.l.connection_limit": 7 } },
            { name: "over", static_layer: { "a.b": 3, share: { numerator: 5, denominator: "HUNDRED" } } },
            { name: "admin", admin_layer: {} },
          ],
        },
        stats_flush_interval: "5s",
      },
      context,
    );
    assert.deepEqual(lines(issues), []);
    assert.equal(sound, true);
    assert.deepEqual(bootstrap.node, { id: "n", cluster: "c", locality: { region: "r", zone: "", subZone: "" }, metadata: { a: 1 } });
    assert.deepEqual(bootstrap.admin, { address: { address: "127.0.0.1", port: 9901 } });
    assert.equal(bootstrap.runtime["a.b"], 3);
    assert.deepEqual(bootstrap.runtime["share"], { numerator: 5, denominator: "HUNDRED" });
    assert.equal(bootstrap.resources.listeners[0]?.maxConnections, 7);
  });

  test("gives clusters the local cluster, with runtime values before their own settings", () => {
    const { bootstrap, issues } = decodeBootstrap(
      {
        node: { locality: { zone: "z" } },
        cluster_manager: { local_cluster_name: "self" },
        static_resources: {
          clusters: [
            staticCluster("self"),
            staticCluster("a", { common_lb_config: { zone_aware_lb_config: { min_cluster_size: 9, routing_enabled: { value: 49.6 } } } }),
          ],
        },
        layered_runtime: { layers: [{ name: "r", static_layer: { "upstream.zone_routing.min_cluster_size": 2 } }] },
      },
      context,
    );
    assert.deepEqual(lines(issues), []);
    const { localZone, zoneAware } = bootstrap.resources.clusters[1] ?? {};
    assert.deepEqual(localZone, { cluster: "self", locality: { region: "", zone: "z", subZone: "" } });
    assert.deepEqual(zoneAware, { routingPercent: 50, minClusterSize: 2, failTrafficOnPanic: false });
  });

  for (const [title, clusters, key, problem] of [
    ["that does not exist", [staticCluster("a")], "enabled", /there is no cluster self/],
    ["of several priorities", [staticCluster("self", { load_assignment: twoPriorities })], "enabled", /priority other than 0/],
    ["with a runtime value out of bounds", [staticCluster("self")], 101, /from 0 to 100/],
  ] as const) {
    test(`refuses a local cluster ${title}`, () => {
      const { sound, issues } = decodeBootstrap(
        {
          cluster_manager: { local_cluster_name: "self" },
          static_resources: { clusters },
          layered_runtime: { layers: [{ name: "r", static_layer: { "upstream.zone_routing.enabled": key === 101 ? 101 : 100 } }] },
        },
        context,
      );
      assert.equal(sound, false);
      assert.match(lines(issues).join(), problem);
    });
  }

  test("accepts an empty bootstrap", () => assert.equal(decodeBootstrap({}, context).sound, true));

  test("refuses bad resources by themselves and names them", () => {
    const { bootstrap, rejected, sound, issues } = decodeBootstrap(
      {
        static_resources: {
          listeners: [listener("good"), { ...listener("bad"), typo: 1 }],
          clusters: [{ name: "worse", connect_timeout: 1 }, staticCluster("a")],
        },
      },
      context,
    );
    assert.deepEqual(
      bootstrap.resources.listeners.map(({ name }) => name),
      ["good"],
    );
    assert.deepEqual(
      bootstrap.resources.clusters.map(({ name }) => name),
      ["a"],
    );
    assert.deepEqual(rejected, [
      { kind: "listeners", name: "bad" },
      { kind: "clusters", name: "worse" },
    ]);
    assert.equal(sound, true);
    assert.equal(issues.length, 2);
  });

  for (const [title, json, expected] of [
    ["xDS, by name", { dynamic_resources: { ads_config: {} } }, ["error dynamic_resources: xDS is not supported by this source"]],
    ["a field that there is not", { static_resource: {} }, ["error static_resource: unknown field, did you mean static_resources"]],
    [
      "an admin address that is a name",
      { admin: { address: address("localhost", 1) } },
      ['error admin.address.socket_address.address: expected an IP address, got "localhost"'],
    ],
    ["something else than an object", [], ["error : expected an object, got a list"]],
  ] as const) {
    test(`is unsound with ${title}`, () => {
      const decoded = decodeBootstrap(json, context);
      assert.deepEqual(lines(decoded.issues), expected);
      assert.equal(decoded.sound, false);
    });
  }

  test("warns about Envoy's own machinery", () => {
    const decoded = decodeBootstrap({ stats_config: {}, overload_manager: {} }, context);
    assert.deepEqual(lines(decoded.issues), ["warning stats_config: is not honoured", "warning overload_manager: is not honoured"]);
    assert.equal(decoded.sound, true);
  });
});

test("decodeResources accepts each resource by itself, with paths by kind and index", () => {
  const decoded = decodeResources(
    { endpoints: [{ cluster_name: "a" }, { cluster_name: "b", endpoint: [] }], routes: [{ name: "r" }] },
    context,
  );
  assert.deepEqual(
    decoded.resources.endpoints.map(({ clusterName }) => clusterName),
    ["a"],
  );
  assert.deepEqual(decoded.rejected, [{ kind: "endpoints", name: "b" }]);
  assert.deepEqual(lines(decoded.issues), ["error endpoints[1].endpoint: unknown field, did you mean endpoints"]);
  assert.equal(decoded.resources.routes.length, 1);
});
