import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { nodeFromOptions, type NodeSources, parseNode, parseNodeFile } from "../../../../src/source/mesh/node.ts";
import { describeProxy, parseNodeId } from "../../../../src/source/mesh/proxy.ts";

const id = "sidecar~10.0.0.1~sleep.default~default.svc.cluster.local";

suite("node id", () => {
  test("is taken apart", () => {
    assert.deepEqual(parseNodeId("router~fd00::1~gw.v2.istio-system~istio-system.svc.cluster.local"), {
      type: "router",
      address: "fd00::1",
      name: "gw.v2",
      namespace: "istio-system",
      domain: "istio-system.svc.cluster.local",
    });
  });
  for (const [bad, expected] of [
    ["", /is no node id/],
    ["sidecar~10.0.0.1~a.b", /is no node id/],
    ["sidecar~10.0.0.1~a.b~d~e", /is no node id/],
    ["waypoint~10.0.0.1~a.b~d", /"waypoint" is no proxy type/],
    ["sidecar~host~a.b~d", /"host" in the node id is no IP address/],
    ["sidecar~10.0.0.1~nodots~d", /is not POD\.NAMESPACE/],
    ["sidecar~10.0.0.1~.ns~d", /is not POD\.NAMESPACE/],
  ] as const) {
    test(`"${bad}" is refused with its reason`, () => {
      const parsed = parseNodeId(bad);
      assert.ok("problem" in parsed);
      assert.match(parsed.problem, expected);
    });
  }
});

suite("node", () => {
  test("reads Envoy's core.v3.Node from YAML and JSON alike", () => {
    const yaml = parseNodeFile(`id: ${id}\nlocality: {region: r, sub_zone: s}\nmetadata: {CLUSTER_ID: c1}\n`);
    const json = parseNodeFile(JSON.stringify({ id, locality: { region: "r", subZone: "s" }, metadata: { CLUSTER_ID: "c1" } }));
    assert.ok(yaml.ok && json.ok);
    assert.deepEqual(yaml.value, json.value);
    assert.deepEqual(yaml.value.locality, { region: "r", zone: "", subZone: "s" });
  });

  for (const [title, value, path] of [
    ["without an id", { metadata: {} }, ["id"]],
    ["with metadata that is a list", { id, metadata: [] }, ["metadata"]],
    ["with an unknown field", { id, colour: "red" }, ["colour"]],
    ["that is no mapping", "sidecar", []],
  ] as const) {
    test(`${title} is refused`, () => {
      const parsed = parseNode(value);
      assert.ok(!parsed.ok);
      assert.deepEqual(parsed.issues[0]?.path, path);
    });
  }

  const env = { POD_NAME: "sleep", POD_NAMESPACE: "default", INSTANCE_IP: "10.0.0.1", SERVICE_ACCOUNT: "sa", ISTIO_META_CLUSTER_ID: "c1" };
  const base = { id, cluster: "", locality: { region: "r", zone: "", subZone: "" }, metadata: { CLUSTER_ID: "from-file", NETWORK: "n1" } };
  const cases: readonly (readonly [string, NodeSources, Readonly<Record<string, unknown>>])[] = [
    [
      "flags",
      { flags: { node: id, cluster: "c1", network: "n1", serviceAccount: "sa" } },
      { CLUSTER_ID: "c1", NETWORK: "n1", SERVICE_ACCOUNT: "sa" },
    ],
    [
      "the environment",
      { env },
      { CLUSTER_ID: "c1", NAMESPACE: "default", NAME: "sleep", SERVICE_ACCOUNT: "sa", INSTANCE_IPS: "10.0.0.1" },
    ],
    ["flags over the environment", { env, flags: { cluster: "flag" } }, { CLUSTER_ID: "flag" }],
    ["a node file", { base }, { CLUSTER_ID: "from-file", NETWORK: "n1" }],
    ["flags over a node file", { base, flags: { network: "n2" } }, { CLUSTER_ID: "from-file", NETWORK: "n2" }],
    ["a node file in place of the environment", { base, env: { ISTIO_META_NETWORK: "env" } }, { NETWORK: "n1" }],
    ["a name in nodes.yaml", { flags: { node: "sleep" }, named: new Map([["sleep", base]]) }, { CLUSTER_ID: "from-file" }],
    ["the mesh's proxyMetadata", { env, proxyMetadata: { ISTIO_META_DNS_CAPTURE: "true" } }, { DNS_CAPTURE: "true" }],
    [
      "the environment over proxyMetadata",
      { env: { ...env, ISTIO_META_DNS_CAPTURE: "false" }, proxyMetadata: { ISTIO_META_DNS_CAPTURE: "true" } },
      { DNS_CAPTURE: "false" },
    ],
    [
      "labels as JSON and as flags",
      { env: { ...env, ISTIO_METAJSON_LABELS: '{"app":"a","v":"1"}' }, flags: { labels: "v=2" } },
      { LABELS: { app: "a", v: "2" } },
    ],
  ];
  for (const [title, sources, expected] of cases) {
    test(`takes ${title}`, () => {
      const node = nodeFromOptions(sources);
      assert.ok(node.ok);
      assert.equal(node.value.id, id);
      for (const [key, value] of Object.entries(expected)) assert.deepEqual(node.value.metadata[key], value, key);
    });
  }

  for (const [title, sources, expected] of [
    ["nothing at all", {}, /no node is named/],
    ["an unknown name", { flags: { node: "nobody" }, named: new Map([["sleep", base]]) }, /neither a node id nor in nodes\.yaml.*sleep/],
    ["labels that are none", { base, flags: { labels: "app" } }, /are no labels/],
    ["broken JSON in the environment", { env: { ...env, ISTIO_METAJSON_LABELS: "{" } }, /is no valid JSON/],
  ] as const) {
    test(`refuses ${title} with its reason`, () => {
      const node = nodeFromOptions(sources);
      assert.ok(!node.ok);
      assert.match(node.issues[0]?.message ?? "", expected);
    });
  }

  test("means a proxy: own addresses, interception, DNS capture and network view", () => {
    const node = nodeFromOptions({
      base: {
        ...base,
        metadata: {
          INSTANCE_IPS: "10.0.0.1, fd00::1",
          INTERCEPTION_MODE: "NONE",
          DNS_CAPTURE: "true",
          REQUESTED_NETWORK_VIEW: "n1,n2",
          LABELS: { a: "b", c: 1 },
        },
      },
    });
    assert.ok(node.ok);
    const proxy = describeProxy(node.value);
    assert.deepEqual(
      [proxy.addresses, proxy.interception, proxy.dnsCapture, proxy.networkView, proxy.labels, proxy.domainNamespace],
      [["10.0.0.1", "fd00::1"], "NONE", true, ["n1", "n2"], { a: "b" }, "default"],
    );
  });
});
