// Which Sidecar a workload has, and what its scope does to each type of resource.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Translation } from "../../../../../src/source/mesh/envoy-json.ts";
import { compileScope, findSidecar } from "../../../../../src/source/mesh/scope/sidecar-scope.ts";
import type { MeshService } from "../../../../../src/source/mesh/registry/service.ts";
import { describeProxy } from "../../../../../src/source/mesh/proxy.ts";
import { translate } from "../../../../../src/source/mesh/translate.ts";
import { loadFiles, sidecar, workload } from "../mesh-folder.ts";

const resource = (name: string, namespace: string, spec: string, created = "2024-01-01T00:00:00Z"): string =>
  `---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: ${name}, namespace: ${namespace}, creationTimestamp: "${created}"}\nspec: ${spec}\n`;

const names = (list: Translation["cds"]): readonly string[] => list.resources.map((each) => String(each["name"]));

suite("the Sidecar of a workload", () => {
  const labelled = "{workloadSelector: {labels: {app: a}}}";
  const cases: readonly (readonly [string, string, string | undefined])[] = [
    ["is none where there is none", "", undefined],
    ["is that of the root namespace for every namespace", resource("root", "istio-system", "{}"), "root"],
    ["of the root namespace needs to be for all", resource("root", "istio-system", labelled), undefined],
    ["of its namespace goes before the root's", resource("root", "istio-system", "{}") + resource("ns", "shop", "{}"), "ns"],
    [
      "that selects it goes before an older one for all",
      resource("ns", "shop", "{}") + resource("app", "shop", labelled, "2024-02-01T00:00:00Z"),
      "app",
    ],
    ["that selects others is not its own", resource("app", "shop", "{workloadSelector: {labels: {app: b}}}"), undefined],
    ["is the oldest of two", resource("younger", "shop", "{}", "2024-02-01T00:00:00Z") + resource("older", "shop", "{}"), "older"],
    ["of another namespace is not its own", resource("ns", "stock", "{}"), undefined],
  ];
  for (const [title, text, expected] of cases) {
    test(title, async (t) => {
      const { mesh } = await loadFiles(t, { "istio/a.yaml": text });
      assert.equal(findSidecar(mesh, "shop", { app: "a" })?.meta.name, expected);
    });
  }
});

suite("scope", () => {
  const files = (spec: string): Readonly<Record<string, string>> => ({
    "k8s/c1.yaml":
      workload({ name: "a", vip: "10.0.1.1", podIp: "10.0.0.1" }) +
      workload({ name: "b", namespace: "shop", vip: "10.0.1.2", podIp: "10.0.0.2" }),
    "istio/a.yaml": resource("default", "default", spec),
  });
  const a = "outbound|8000||a.default.svc.cluster.local";
  const b = "outbound|8000||b.shop.svc.cluster.local";

  test("limits clusters, endpoints, listeners, routes and names alike", async (t) => {
    const { mesh } = await loadFiles(t, files("{egress: [{hosts: [shop/*]}]}"));
    const own = translate(mesh, sidecar("x", "10.9.0.1"));
    assert.ok(names(own.cds).includes(b) && !names(own.cds).includes(a));
    assert.deepEqual(
      own.eds.resources.map((each) => each["cluster_name"]),
      [b],
    );
    assert.doesNotMatch(JSON.stringify([own.lds, own.rds, own.nds]), /a\.default/);
    assert.match(JSON.stringify(own.nds), /b\.shop/);
  });

  test("of nothing leaves the proxy its own listeners", async (t) => {
    const { mesh } = await loadFiles(t, files("{egress: [{hosts: [~/*]}]}"));
    const own = translate(mesh, sidecar("a", "10.0.0.1"));
    assert.deepEqual(names(own.lds), ["virtualInbound", "virtualOutbound"]);
    assert.ok(names(own.cds).includes("inbound|8080||"));
    assert.deepEqual(own.nds.resources, [{}]);
  });

  test("does not hold for gateways", async (t) => {
    const { mesh } = await loadFiles(t, files("{egress: [{hosts: [~/*]}]}"));
    const node = { ...sidecar("x", "10.9.0.1"), id: "router~10.9.0.1~x.default~default.svc.cluster.local" };
    assert.ok(names(translate(mesh, node).cds).includes(a));
  });

  test("sends what no service claims to the cluster that its policy names", async (t) => {
    for (const [policy, cluster] of [
      ["{mode: REGISTRY_ONLY}", "BlackHoleCluster"],
      ["{mode: ALLOW_ANY}", "PassthroughCluster"],
      [
        "{mode: ALLOW_ANY, egressProxy: {host: b.shop.svc.cluster.local, subset: v1, port: {number: 8000}}}",
        "outbound|8000|v1|b.shop.svc.cluster.local",
      ],
    ] as const) {
      const { mesh } = await loadFiles(t, {
        ...files(`{outboundTrafficPolicy: ${policy}}`),
        "meshconfig.yaml": `outboundTrafficPolicy: {mode: ${policy.includes("ALLOW") ? "REGISTRY_ONLY" : "ALLOW_ANY"}}\n`,
      });
      const own = translate(mesh, sidecar("x", "10.9.0.1"));
      assert.ok(JSON.stringify(own.lds).includes(`"cluster":"${cluster}"`), policy);
      assert.match(JSON.stringify(own.rds), cluster === "BlackHoleCluster" ? /"block_all"/ : /"allow_any"/);
    }
  });

  test("touches each of 10,000 services a bounded number of times", async (t) => {
    const { mesh } = await loadFiles(
      t,
      files(`{egress: [{hosts: [${Array.from({ length: 500 }, (_, index) => `ns${index}/h${index}.com`).join(", ")}]}]}`),
    );
    let reads = 0;
    const services = Array.from({ length: 10_000 }, (_, index): MeshService => {
      const base = { hostname: `h${index % 500}.com`, namespace: `ns${index}`, exportTo: [], ports: [], createdAt: 0 };
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a stand-in that counts
      return new Proxy(base, { get: (target, key) => ((reads += 1), Reflect.get(target, key)) }) as unknown as MeshService;
    });
    const { byHost } = compileScope(mesh, describeProxy(sidecar("x", "10.9.0.1")), {}, services);
    assert.equal(byHost.services.length, 500);
    assert.ok(reads < 10_000 * 12, String(reads));
  });
});
