import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { gatewayHosts, readNetworks } from "../../../../../src/source/mesh/registry/networks.ts";
import { loadFiles } from "../mesh-folder.ts";

const gateway = (name: string, ips: string, extra = ""): string =>
  `---\napiVersion: v1\nkind: Service\nmetadata: {name: ${name}, namespace: istio-system, labels: {${extra}}}\nspec: {type: LoadBalancer, clusterIP: 10.0.0.9, ports: [{name: tls, port: 15443}]}\nstatus: {loadBalancer: {ingress: [${ips}]}}\n`;

suite("networks", () => {
  test("an endpoint's own label comes before the root namespace, its cluster and its address range", async (t) => {
    const { mesh } = await loadFiles(t, {
      "networks.yaml":
        "networks:\n  by-registry: {endpoints: [{fromRegistry: c1}, {fromRegistry: c2}]}\n  by-range: {endpoints: [{fromCidr: 10.2.0.0/16}]}\n",
      "k8s/c1.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n",
      "k8s/c2.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: istio-system, labels: {topology.istio.io/network: by-root}}\n",
      "k8s/c3.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n",
    });
    const { networkOf } = readNetworks(mesh);
    assert.equal(networkOf("c1", "10.2.0.1", { "topology.istio.io/network": "by-label" }), "by-label");
    assert.equal(networkOf("c1", "10.2.0.1", {}), "by-registry");
    assert.equal(networkOf("c2", "10.2.0.1", {}), "by-root");
    assert.equal(networkOf("c3", "10.2.0.1", {}), "by-range");
    assert.equal(networkOf("c3", "10.3.0.1", {}), "");
    assert.equal(networkOf("c3", "host.example", {}), "");
  });

  test("gateways come from addresses, named services and labelled services, without repeats, unresolved host names left out", async (t) => {
    const { mesh } = await loadFiles(t, {
      "networks.yaml":
        "networks:\n  n1: {gateways: [{address: 1.1.1.1, port: 15443}]}\n  n2: {gateways: [{registryServiceName: gw.istio-system.svc.cluster.local, port: 15443}]}\n",
      "k8s/c1.yaml": gateway("gw", "{ip: 2.2.2.2}, {ip: 2.2.2.3}, {hostname: lb.example}", "topology.istio.io/network: n2"),
      "k8s/c2.yaml": gateway("other", "{ip: 3.3.3.3}", 'topology.istio.io/network: n3, networking.istio.io/gatewayPort: "443"'),
    });
    const networks = readNetworks(mesh);
    assert.deepEqual(
      networks.gateways.map((each) => `${each.network} ${each.cluster} ${each.address}:${each.port}`),
      ["n1  1.1.1.1:15443", "n2 c1 2.2.2.2:15443", "n2 c1 2.2.2.3:15443", "n3 c2 3.3.3.3:443"],
    );
    assert.equal(networks.weightScale, 2);
  });

  test("the endpoint's own cluster's gateways are preferred", async (t) => {
    const labelled = "topology.istio.io/network: n";
    const { mesh } = await loadFiles(t, {
      "k8s/c1.yaml": gateway("gw", "{ip: 1.1.1.1}", labelled),
      "k8s/c2.yaml": gateway("gw", "{ip: 2.2.2.2}", labelled),
    });
    const { gatewaysTo } = readNetworks(mesh);
    const to = (cluster: string): readonly string[] => gatewaysTo("n", cluster).map((each) => each.address);
    assert.deepEqual([to("c1"), to("c2"), to("c3"), gatewaysTo("m", "c1")], [["1.1.1.1"], ["2.2.2.2"], ["1.1.1.1", "2.2.2.2"], []]);
  });

  test("host names stand for what they resolved to; a service's own label goes before networks.yaml", async (t) => {
    const byName = (network: string, host: string): string => `  ${network}: {gateways: [{address: ${host}, port: 15443}]}\n`;
    const byService = "  by-service: {gateways: [{registryServiceName: gw.istio-system.svc.cluster.local, port: 1}]}\n";
    const { mesh } = await loadFiles(t, {
      "networks.yaml": `networks:\n${byName("n1", "gw.example")}${byName("n2", "lost.example")}${byService}`,
      "k8s/c1.yaml": gateway("gw", "{ip: 2.2.2.2}, {hostname: lb.example}"),
      "k8s/c2.yaml": gateway("gw", "{ip: 3.3.3.3}", "topology.istio.io/network: labelled"),
    });
    assert.deepEqual([...gatewayHosts(mesh)].toSorted(), ["gw.example", "lb.example", "lost.example"]);
    const gatewayAddresses = new Map([
      ["gw.example", ["1.1.1.1", "1.1.1.2"]],
      ["lb.example", ["2.2.2.3"]],
    ]);
    const { gateways, weightScale } = readNetworks({ ...mesh, gatewayAddresses });
    assert.deepEqual(
      gateways.map((each) => `${each.network} ${each.cluster} ${each.address}:${each.port}`),
      ["n1  1.1.1.1:15443", "n1  1.1.1.2:15443", "by-service c1 2.2.2.2:1", "by-service c1 2.2.2.3:1", "labelled c2 3.3.3.3:15443"],
    );
    assert.equal(weightScale, 2);
  });
});
