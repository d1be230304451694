// WorkloadEntry and WorkloadGroup: what is read, and what is refused with its path.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { loadFiles } from "../mesh-folder.ts";

const entry = (spec: string, rest = ""): string => `
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: machine, namespace: shop, labels: {app: web, version: v1}, annotations: {${rest.includes("status") ? 'proxy.istio.io/health-checks-enabled: "true"' : ""}}}
spec: {${spec}}
${rest}`;

suite("WorkloadEntry", () => {
  test("labels of the spec go over those of the object", async (t) => {
    const { mesh } = await loadFiles(t, {
      "istio/a.yaml": entry("address: 10.0.0.1, ports: {http: 8080}, labels: {version: v2}, weight: 3"),
    });
    const spec = mesh.workloadEntries[0]?.spec;
    assert.deepEqual(spec?.labels, { app: "web", version: "v2" });
    assert.deepEqual([spec.address, spec.weight, spec.ports.get("http"), spec.healthy], ["10.0.0.1", 3, 8080, true]);
  });

  for (const [status, healthy] of [
    ["status: {conditions: [{type: Healthy, status: 'True'}]}", true],
    ["status: {conditions: [{type: Healthy, status: 'False'}]}", false],
    ["status: {conditions: []}", false],
  ] as const) {
    test(`with health checks, ${status} means ${healthy ? "well" : "not well"}`, async (t) => {
      const { mesh } = await loadFiles(t, { "istio/a.yaml": entry("address: 10.0.0.1", status) });
      assert.equal(mesh.workloadEntries[0]?.spec.healthy, healthy);
    });
  }

  for (const [title, spec, path, message] of [
    ["no address", "labels: {app: web}", "spec.address", /is missing, expected an IP address or a host name/],
    ["a Unix socket", "address: 'unix:///run/x'", "spec.address", /is a socket of the machine itself/],
    ["an unknown field", "address: 10.0.0.1, colour: red", "spec.colour", /is an unknown field/],
    ["a port that is none", "address: 10.0.0.1, ports: {http: 70000}", "spec.ports.http", /expected a whole number from 1 to 65535/],
  ] as const) {
    test(`${title} is refused`, async (t) => {
      const { mesh, issues } = await loadFiles(t, { "istio/a.yaml": entry(spec) });
      const [issue] = issues.filter(({ severity }) => severity === "error");
      assert.equal(issue?.path.join("."), path);
      assert.match(issue.message, message);
      assert.deepEqual(mesh.workloadEntries, []);
    });
  }
});

const groupOf = (spec: string): string => `
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: machines, namespace: shop}
spec: ${spec}
`;

suite("WorkloadGroup", () => {
  test("is said to have no effect by itself", async (t) => {
    const { issues } = await loadFiles(t, { "istio/a.yaml": groupOf("{template: {serviceAccount: web}, probe: {httpGet: {port: 80}}}") });
    assert.deepEqual(
      issues.map(({ severity }) => severity),
      ["warning"],
    );
    assert.match(issues[0]?.message ?? "", /is a template for machines that register/);
  });

  for (const [title, spec, message] of [
    ["no template", "{metadata: {labels: {app: web}}}", /has no template/],
    ["an address in the template", "{template: {address: 10.0.0.1}}", /is of one machine/],
    ["an unknown field", "{template: {}, colour: red}", /is an unknown field/],
  ] as const) {
    test(`${title} is refused`, async (t) => {
      const { issues } = await loadFiles(t, { "istio/a.yaml": groupOf(spec) });
      assert.match(issues.find(({ severity }) => severity === "error")?.message ?? "", message);
    });
  }
});
