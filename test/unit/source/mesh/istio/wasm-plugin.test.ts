// WasmPlugin: what is read, and what is refused or left out where it cannot be run.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { loadFiles } from "../mesh-folder.ts";

const plugin = (spec: string): string => `
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: p, namespace: shop}
spec: {${spec}}`;
const url = `url: "file:///etc/filters/a.ts"`;

suite("WasmPlugin", () => {
  test("has the module's path, its configuration, and what applies without more being said", async (t) => {
    const { mesh, issues } = await loadFiles(t, { "istio/a.yaml": plugin(`${url}, pluginConfig: {a: [1, {b: null}]}`) });
    assert.deepEqual(issues, []);
    assert.deepEqual(mesh.wasmPlugins[0]?.spec, {
      target: { selector: {}, refs: [] },
      module: "/etc/filters/a.ts",
      config: { a: [1, { b: null }] },
      phase: "UNSPECIFIED_PHASE",
      priority: -(2 ** 31),
      failOpen: false,
      match: [],
    });
  });

  test("modes that are not said mean both sides", async (t) => {
    const { mesh } = await loadFiles(t, {
      "istio/a.yaml": plugin(`${url}, match: [{ports: [{number: 80}]}, {mode: UNDEFINED}, {mode: SERVER}]`),
    });
    assert.deepEqual(mesh.wasmPlugins[0]?.spec.match, [
      { mode: "CLIENT_AND_SERVER", ports: [80] },
      { mode: "CLIENT_AND_SERVER", ports: [] },
      { mode: "SERVER", ports: [] },
    ]);
  });

  for (const [title, spec, path, message] of [
    ["an image", `url: "oci://r.example/f:v1"`, "spec.url", /WebAssembly is not run here: expected a filter in TypeScript/],
    ["an image without a scheme", `url: "r.example/f:v1"`, "spec.url", /WebAssembly is not run here/],
    ["a Wasm file", `url: "file:///opt/filter.wasm"`, "spec.url", /WebAssembly is not run here/],
    ["a download", `url: "https://r.example/f.ts"`, "spec.url", /WebAssembly is not run here/],
    ["a network plugin", `${url}, type: NETWORK`, "spec.type", /plugins of TCP connections are not run here/],
    ["a checksum", `${url}, sha256: abc`, "spec.sha256", /not verified here/],
  ] as const) {
    test(`${title} is refused, and left out with a warning where its failStrategy says so`, async (t) => {
      const closed = await loadFiles(t, { "istio/a.yaml": plugin(spec) });
      const [error] = closed.issues.filter(({ severity }) => severity === "error");
      assert.equal(error?.path.join("."), path);
      assert.match(error.message, message);
      assert.deepEqual(closed.mesh.wasmPlugins, []);
      const open = await loadFiles(t, { "istio/a.yaml": plugin(`${spec}, failStrategy: FAIL_OPEN`) });
      assert.deepEqual(
        open.issues.map(({ severity, path: where }) => `${severity} ${where.join(".")}`),
        [`warning ${path}`],
      );
      assert.match(open.issues[0]!.message, /the plugin is left out, as its failStrategy allows/);
      assert.equal(open.mesh.wasmPlugins[0]?.spec.module, undefined);
    });
  }

  for (const [title, spec, path] of [
    ["no url", "phase: AUTHN", "spec.url"],
    ["an unknown phase", `${url}, phase: LAST`, "spec.phase"],
    ["an unknown field", `${url}, colour: red`, "spec.colour"],
    ["a configuration that is no mapping", `${url}, pluginConfig: text`, "spec.pluginConfig"],
    ["a port that is none", `${url}, match: [{ports: [{number: 0}]}]`, "spec.match.0.ports.0.number"],
    ["a selector beside targetRefs", `${url}, selector: {}, targetRefs: []`, "spec.targetRefs"],
  ] as const) {
    test(`${title} is refused`, async (t) => {
      const { issues } = await loadFiles(t, { "istio/a.yaml": plugin(spec) });
      assert.ok(
        issues.some((issue) => issue.severity === "error" && issue.path.join(".") === path),
        JSON.stringify(issues),
      );
    });
  }
});
