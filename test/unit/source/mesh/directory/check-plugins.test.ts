// Modules of WasmPlugins that do not load are said at the url that names them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { checkPlugins } from "../../../../../src/source/mesh/directory/check-plugins.ts";
import { loadFiles } from "../mesh-folder.ts";

test("each module is looked for from the mesh directory on", async (t) => {
  const plugin = (name: string, url: string): string =>
    `apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: ${name}}\nspec: {url: "${url}", failStrategy: FAIL_OPEN}\n---\n`;
  const { mesh } = await loadFiles(t, {
    "istio/a.yaml": plugin("absolute", "file:///etc/a.ts") + plugin("relative", "file://./f/b.ts") + plugin("wasm", "oci://c"),
  });
  const issues = checkPlugins(mesh, "/mesh", (path) => (path === "/mesh/f/b.ts" ? `${path}:1: no` : undefined));
  assert.deepEqual(
    issues.map(({ severity, line, path, message }) => [severity, line, path.join("."), message]),
    [["error", 9, "spec.url", "leads to a module that does not load: /mesh/f/b.ts:1: no"]],
  );
});
