import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Json, Translation } from "../../../../src/source/mesh/envoy-json.ts";
import type { MeshView } from "../../../../src/source/mesh/mesh-view.ts";
import { translate } from "../../../../src/source/mesh/translate.ts";
import { loadFiles, router, sidecar, workload } from "./mesh-folder.ts";

const names = (list: { readonly resources: readonly Json[] }): readonly string[] =>
  list.resources.map((each) => String(each["name"] ?? each["cluster_name"]));

const find = (list: { readonly resources: readonly Json[] }, name: string): Json => {
  const found = list.resources.find((each) => each["name"] === name || each["cluster_name"] === name);
  assert.ok(found, `${name} among ${names(list).join(" ")}`);
  return found;
};

const boundAddresses = (translation: Translation): readonly string[] =>
  translation.lds.resources.filter((each) => each["bind_to_port"] !== false).map((each) => String(each["name"]));

const domainsOf = (translation: Translation, route: string): readonly string[] =>
  JSON.parse(JSON.stringify(find(translation.rds, route)))["virtual_hosts"][0]["domains"];

const vip = "10.0.1.1";
const plain = { "k8s/c1.yaml": workload({ name: "a", vip, podIp: "10.0.0.1" }) };

suite("sidecar", () => {
  test("names follow the caller's namespace, and each cluster's own address comes first", async (t) => {
    const { mesh } = await loadFiles(t, {
      "k8s/c1.yaml": workload({ name: "a", vip: "10.0.1.1", podIp: "10.0.0.1" }),
      "k8s/c2.yaml":
        workload({ name: "a", vip: "10.0.2.1", podIp: "10.0.0.2" }) + workload({ name: "b", vip: "10.0.2.2", podIp: "10.0.0.3" }),
    });
    const own = translate(mesh, sidecar("x", "10.9.0.1"));
    assert.deepEqual(domainsOf(own, "8000"), [
      "a.default.svc.cluster.local",
      "a.default.svc.cluster.local.",
      "a",
      "a.default.svc",
      "a.default",
      "10.0.1.1",
    ]);
    const other = translate(mesh, sidecar("x", "10.9.0.1", { CLUSTER_ID: "c2" }, "shop"));
    assert.deepEqual(domainsOf(other, "8000"), [
      "a.default.svc.cluster.local",
      "a.default.svc.cluster.local.",
      "a.default",
      "a.default.svc",
      "10.0.2.1",
    ]);
    assert.deepEqual(JSON.parse(JSON.stringify(own.nds.resources[0]))["table"]["b.default.svc.cluster.local"]["ips"], ["10.0.2.2"]);
  });

  test("has no name table unless it captures DNS", async (t) => {
    const { mesh } = await loadFiles(t, plain);
    assert.deepEqual(translate(mesh, sidecar("x", "10.9.0.1", { DNS_CAPTURE: "false" })).nds.resources, []);
  });

  test("REGISTRY_ONLY answers unknown hosts with 502 and unknown addresses with nothing", async (t) => {
    const { mesh } = await loadFiles(t, { ...plain, "meshconfig.yaml": "outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n" });
    const translation = translate(mesh, sidecar("x", "10.9.0.1"));
    assert.match(JSON.stringify(find(translation.rds, "8000")), /"name":"block_all".*"direct_response":\{"status":502\}/);
    assert.match(JSON.stringify(find(translation.lds, "virtualOutbound")), /"cluster":"BlackHoleCluster".*"cluster":"BlackHoleCluster"/);
  });

  test("a mesh without an access log file writes none", async (t) => {
    const { mesh } = await loadFiles(t, plain);
    assert.doesNotMatch(JSON.stringify(translate(mesh, sidecar("a", "10.0.0.1")).lds), /access_log/);
  });

  const remote = (mutualTls: boolean): Readonly<Record<string, string>> => ({
    "networks.yaml":
      "networks:\n  n1: {endpoints: [{fromRegistry: c1}], gateways: [{address: 1.1.1.1, port: 15443}]}\n  n2: {endpoints: [{fromRegistry: c2}], gateways: [{address: 2.2.2.2, port: 15443}, {address: 2.2.2.3, port: 15443}]}\n",
    "k8s/c1.yaml": workload({ name: "x", vip: "10.0.1.9", podIp: "10.9.0.1" }),
    "k8s/c2.yaml": workload({ name: "a", vip, podIp: "10.0.0.1", mutualTls }),
  });
  const endpointsSeen = (translation: Translation): readonly string[] =>
    [
      ...JSON.stringify(find(translation.eds, "outbound|8000||a.default.svc.cluster.local")).matchAll(
        /"address":"([\d.]+)","port_value":(\d+)/g,
      ),
    ].map(([, address, port]) => `${address}:${port}`);
  for (const [title, network, mutualTls, expected] of [
    ["another network is reached through its gateways", "n1", true, ["2.2.2.2:15443", "2.2.2.3:15443"]],
    ["the own network is reached directly", "n2", true, ["10.0.0.1:8080"]],
    ["an endpoint without mTLS on another network is out of reach", "n1", false, []],
    ["an endpoint without mTLS on the own network is not", "n2", false, ["10.0.0.1:8080"]],
    ["a node that names no network reaches all directly", "", true, ["10.0.0.1:8080"]],
  ] as const) {
    test(title, async (t) => {
      const { mesh } = await loadFiles(t, remote(mutualTls));
      assert.deepEqual(endpointsSeen(translate(mesh, sidecar("x", "10.9.0.1", { NETWORK: network }))), expected);
    });
  }

  test("a service kept to its cluster has no endpoints from others", async (t) => {
    const { mesh } = await loadFiles(t, {
      ...remote(true),
      "meshconfig.yaml": "serviceSettings: [{settings: {clusterLocal: true}, hosts: ['a.default.svc.cluster.local']}]\n",
    });
    assert.deepEqual(endpointsSeen(translate(mesh, sidecar("x", "10.9.0.1", { NETWORK: "n1" }))), []);
  });
});

suite("interception NONE", () => {
  const none = { INTERCEPTION_MODE: "NONE" };
  const mesh = async (t: Parameters<typeof loadFiles>[0], annotations = ""): Promise<Awaited<ReturnType<typeof loadFiles>>["mesh"]> => {
    const loaded = await loadFiles(t, {
      "k8s/c1.yaml":
        workload({ name: "a", vip: "127.96.1.1", podIp: "127.1.0.1", annotations }) +
        workload({
          name: "b",
          vip: "127.96.1.2",
          podIp: "127.1.0.2",
          port: "{name: tcp, port: 9000, targetPort: 9090}",
          targetPort: 9090,
        }) +
        workload({
          name: "c",
          vip: "127.96.1.3",
          podIp: "127.1.0.3",
          port: "{name: any, port: 9001, targetPort: 9091}",
          targetPort: 9091,
        }) +
        workload({ name: "d", vip: "None", podIp: "127.1.0.4", port: "{name: tcp, port: 9002, targetPort: 9002}", targetPort: 9002 }),
      "istio/gw.yaml":
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g, namespace: istio-system}\nspec: {selector: {istio: eastwestgateway}, servers: [{port: {number: 15443, name: tls, protocol: TLS}, tls: {mode: AUTO_PASSTHROUGH}, hosts: ['*.local']}]}\n",
    });
    assert.deepEqual(loaded.issues, []);
    return loaded.mesh;
  };

  test("binds each service address and each own port, and nothing on all addresses", async (t) => {
    const translation = translate(await mesh(t), sidecar("a", "127.1.0.1", none));
    assert.deepEqual(boundAddresses(translation), [
      "127.1.0.1_8080",
      "127.1.0.4_9002",
      "127.96.1.1_8000",
      "127.96.1.2_9000",
      "127.96.1.3_9001",
    ]);
    assert.doesNotMatch(JSON.stringify(translation.lds), /0\.0\.0\.0","port|use_original_dst|destination_port|original_dst|"bind_to_port"/);
  });

  test("HTTP has the route of its port, TCP its cluster, an open protocol both", async (t) => {
    const { lds, rds } = translate(await mesh(t), sidecar("a", "127.1.0.1", none));
    assert.match(JSON.stringify(find(lds, "127.96.1.1_8000")), /"route_config_name":"8000"/);
    assert.match(JSON.stringify(find(lds, "127.96.1.2_9000")), /tcp_proxy.*outbound\|9000\|\|b/);
    assert.match(
      JSON.stringify(find(lds, "127.96.1.3_9001")),
      /"route_config_name":"c\.default\.svc\.cluster\.local:9001".*default_filter_chain.*outbound\|9001\|\|c.*http_inspector/,
    );
    assert.deepEqual(names(rds), ["8000", "c.default.svc.cluster.local:9001"]);
  });

  test("an own port accepts mTLS and plaintext and leads to the application on loopback", async (t) => {
    const { lds, cds } = translate(await mesh(t), sidecar("a", "127.1.0.1", none));
    const chains = find(lds, "127.1.0.1_8080")["filter_chains"] as readonly Json[];
    assert.deepEqual(
      chains.map((chain) => [(chain["filter_chain_match"] as Json)["transport_protocol"], chain["transport_socket"] !== undefined]),
      [
        ["tls", true],
        ["raw_buffer", false],
      ],
    );
    const cluster = find(cds, "inbound|8080||");
    assert.equal(cluster["type"], "STATIC");
    assert.match(JSON.stringify(cluster), /"address":"127\.0\.0\.1","port_value":8080/);
    assert.equal(cluster["upstream_bind_config"], undefined);
  });

  test("a workload whose outbound ranges are empty has no outbound listener, yet its own ports", async (t) => {
    const annotated = await mesh(t, 'traffic.sidecar.istio.io/includeOutboundIPRanges: ""');
    const translation = translate(annotated, sidecar("a", "127.1.0.1", none));
    assert.deepEqual([names(translation.lds), names(translation.rds)], [["127.1.0.1_8080"], []]);
    assert.ok(names(translation.cds).includes("outbound|9000||b.default.svc.cluster.local"));
  });

  test("outbound listeners come and go with the annotation of the pod, though no service changes", async (t) => {
    const loaded = await mesh(t, 'traffic.sidecar.istio.io/includeOutboundIPRanges: ""');
    // Without the headless service, whose listeners are made of pods and so are always made again.
    const clusters = loaded.clusters.map((each) => ({ ...each, services: each.services.filter(({ spec }) => !spec.headless) }));
    const annotated: MeshView = { ...loaded, clusters };
    const withoutAnnotations = clusters.map((each) => ({
      ...each,
      pods: each.pods.map((pod) => ({ ...pod, meta: { ...pod.meta, annotations: {} } })),
    }));
    const plain: MeshView = { ...loaded, clusters: withoutAnnotations };
    const counts = [annotated, plain, annotated].map((view) => translate(view, sidecar("a", "127.1.0.1", none)).lds.resources.length);
    assert.equal(counts[0], 1);
    assert.ok((counts[1] ?? 0) > 1);
    assert.equal(counts[2], 1);
  });

  test("a gateway keeps to its own address", async (t) => {
    const loaded = await mesh(t);
    assert.deepEqual(names(translate(loaded, router("gw", "127.99.0.1", none)).lds), ["127.99.0.1_15443"]);
    assert.deepEqual(names(translate(loaded, router("gw", "127.99.0.1")).lds), ["0.0.0.0_15443"]);
  });
});

suite("gateway", () => {
  const gatewayYaml = (mode: string, hosts: string): string =>
    `apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g, namespace: istio-system}\nspec: {selector: {istio: eastwestgateway}, servers: [{port: {number: 15443, name: tls, protocol: TLS}, tls: {mode: ${mode}}, hosts: [${hosts}]}]}\n`;
  const sni = "outbound_.8000_._.a.default.svc.cluster.local";

  test("only AUTO_PASSTHROUGH makes SNI-DNAT clusters, and only where the labels select the proxy", async (t) => {
    for (const [mode, labels, expected] of [
      ["AUTO_PASSTHROUGH", "eastwestgateway", true],
      ["PASSTHROUGH", "eastwestgateway", false],
      ["AUTO_PASSTHROUGH", "other", false],
    ] as const) {
      const { mesh } = await loadFiles(t, { ...plain, "istio/g.yaml": gatewayYaml(mode, '"*.local"') });
      const { cds } = translate(mesh, router("gw", "10.0.0.5", { LABELS: { istio: labels } }));
      assert.equal(names(cds).includes(sni), expected, `${mode} ${labels}`);
    }
  });

  test("chains are made for the hosts of the server, of the namespaces it names", async (t) => {
    for (const [hosts, expected] of [
      ['"*.local"', true],
      ['"*.global"', false],
      ["default/*.local", true],
      ["shop/*.local", false],
      ["./*.local", false],
    ] as const) {
      const { mesh } = await loadFiles(t, { ...plain, "istio/g.yaml": gatewayYaml("AUTO_PASSTHROUGH", hosts) });
      assert.equal(JSON.stringify(translate(mesh, router("gw", "10.0.0.5")).lds).includes(sni), expected, hosts);
    }
  });

  test("sees only the networks it asked for", async (t) => {
    const { mesh } = await loadFiles(t, {
      ...plain,
      "istio/g.yaml": gatewayYaml("AUTO_PASSTHROUGH", '"*.local"'),
      "networks.yaml": "networks: {n1: {endpoints: [{fromRegistry: c1}]}}\n",
    });
    const seen = (view: string): boolean =>
      JSON.stringify(translate(mesh, router("gw", "10.0.0.5", { REQUESTED_NETWORK_VIEW: view })).eds).includes("10.0.0.1");
    assert.deepEqual([seen("n1"), seen("n2"), seen("n2,n1"), seen("")], [true, false, true, true]);
  });
});
