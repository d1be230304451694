// ExternalName services: where a chain of names ends, and which of them are warned about.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { findAliases } from "../../../../../src/source/mesh/registry/aliases.ts";
import { loadFiles } from "../mesh-folder.ts";

const service = (name: string, spec: string): string =>
  `---\napiVersion: v1\nkind: Service\nmetadata: {name: ${name}, namespace: shop}\nspec: {${spec}}\n`;
const alias = (name: string, to: string): string => service(name, `type: ExternalName, externalName: ${to}`);
const full = (name: string): string => `${name}.shop.svc.cluster.local`;
const real = service("web", "clusterIP: 10.0.0.1, ports: [{port: 80}]");

const files = {
  "k8s/a.yaml": [
    real,
    alias("direct", full("web")),
    alias("second", full("direct")),
    alias("out", "www.example.com"),
    alias("round", full("again")),
    alias("again", full("round")),
    alias("self", full("self")),
    alias("lost", full("nobody")),
  ].join(""),
  // A name that is a service in another cluster is no alias in this one.
  "k8s/b.yaml": alias("web", "www.example.com"),
};

suite("ExternalName services", () => {
  test("lead to the service at the end of the chain, or nowhere", async (t) => {
    const { mesh } = await loadFiles(t, files);
    const targets = findAliases(mesh.clusters, new Set([full("web")])).map(({ name, target }) => [name, target]);
    assert.deepEqual(Object.fromEntries(targets), {
      direct: full("web"),
      second: full("web"),
      out: "",
      round: "",
      again: "",
      self: "",
      lost: "",
    });
  });

  test("those that lead nowhere inside the mesh are warned about, and rules over an alias too", async (t) => {
    const rule = (host: string): string =>
      `apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: ${host}, namespace: shop}\nspec: {host: ${host}}\n`;
    const { issues } = await loadFiles(t, { ...files, "istio/a.yaml": `${rule("direct")}---\n${rule("web")}` });
    assert.deepEqual(
      issues.map(({ path, message }) => `${path.join(".")} ${message.split(":")[0]}`),
      [
        ...["round", "again", "self"].map(() => "spec.externalName leads to no service"),
        "spec.externalName names a service that is not there",
        "spec.host has no effect",
      ],
    );
  });
});
