import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { compileClusterLocal } from "../../../../../src/source/mesh/registry/cluster-local.ts";
import { bySpecificity, hostCovers, resolveHost } from "../../../../../src/source/mesh/istio/host-name.ts";
import { defaultMeshConfig } from "../../../../../src/source/mesh/mesh-config.ts";

suite("host names", () => {
  for (const [host, name, expected] of [
    ["*", "a.b", true],
    ["a.b", "a.b", true],
    ["*.local", "a.svc.cluster.local", true],
    ["*.local", "local", false],
    ["*.local", "a.global", false],
    ["*.a.com", "*.b.a.com", true],
    ["*.b.a.com", "*.a.com", false],
    ["a.b", "x.a.b", false],
  ] as const) {
    test(`${host} ${expected ? "covers" : "does not cover"} ${name}`, () => assert.equal(hostCovers(host, name), expected));
  }

  test("short ones belong to the namespace of the resource", () => {
    assert.deepEqual(
      ["a", "a.b", "*"].map((host) => resolveHost(host, "ns")),
      ["a.ns.svc.cluster.local", "a.b", "*"],
    );
  });

  test("the most specific comes first", () => {
    assert.deepEqual(["*", "*.b", "a.b", "*.a.b"].toSorted(bySpecificity), ["a.b", "*.a.b", "*.b", "*"]);
  });

  test("cluster-local hosts: built in, set, and set back by a more specific one", () => {
    const isLocal = compileClusterLocal({
      ...defaultMeshConfig,
      clusterLocal: [
        { hosts: ["*.apps.svc.cluster.local"], clusterLocal: true },
        { hosts: ["open.apps.svc.cluster.local"], clusterLocal: false },
      ],
    });
    assert.deepEqual(
      ["dns.kube-system", "kubernetes.default", "a.apps", "open.apps", "a.other"].map((name) => isLocal(`${name}.svc.cluster.local`)),
      [true, true, true, false, false],
    );
  });
});
