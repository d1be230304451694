// A mesh directory as a source: strict at the start, forgiving later, never less than what was in force.
import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import type { LoadedConfig, LoadResult } from "../../../src/proxy/config-source.ts";
import { createMeshSource } from "../../../src/proxy/mesh-source.ts";

const sample = fileURLToPath(new URL("../../../config/mesh/crossing", import.meta.url));
const node = "sidecar~127.10.1.10~sleep.default~default.svc.cluster.local";

function copy(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "mesh-source-"));
  t.after(() => rmSync(folder, { recursive: true }));
  cpSync(sample, folder, { recursive: true });
  return folder;
}

function source(folder: string, id = node): { load(previous: LoadedConfig | undefined): Promise<LoadResult> } {
  return createMeshSource({ folder, flags: { node: id, cluster: "cluster1", network: "network1" }, nodeFile: undefined, environment: {} });
}

async function good(load: Promise<LoadResult>): Promise<LoadedConfig> {
  const result = await load;
  assert.ok(result.ok, JSON.stringify(result));
  return result.config;
}

suite("mesh source", () => {
  test("yields decoded resources, their JSON, and what to watch", async (t) => {
    const folder = copy(t);
    const config = await good(source(folder).load(undefined));
    const names = config.resources.clusters.map(({ name }) => name);
    assert.ok(names.includes("outbound|8000||httpbin.default.svc.cluster.local"), names.join(" "));
    assert.deepEqual(
      config.json.clusters.map((json) => (json as { name: string }).name),
      names,
    );
    assert.equal(config.node.id, node);
    assert.deepEqual(config.paths, [folder]);
    assert.deepEqual(
      config.issues.filter((issue) => issue.severity === "error"),
      [],
    );
  });

  test("a broken file refuses the start and says where", async (t) => {
    const folder = copy(t);
    writeFileSync(join(folder, "istio", "broken.yaml"), "a: [\n");
    const result = await source(folder).load(undefined);
    assert.ok(!result.ok);
    assert.match(result.issues[0]?.text ?? "", /broken\.yaml:\d+:\d+ error /);
    assert.deepEqual(result.paths, [folder]);
  });

  test("a broken file later leaves what it said before in force, and the rest changes", async (t) => {
    const folder = copy(t);
    const mesh = source(folder);
    const before = await good(mesh.load(undefined));
    const gateway = readdirSync(join(folder, "istio")).find((name) => name.endsWith(".yaml")) ?? "";
    writeFileSync(join(folder, "istio", gateway), "a: [\n");
    const after = await good(mesh.load(before));
    assert.ok(after.issues.some(({ severity, text }) => severity === "error" && text.includes(gateway)));
    assert.deepEqual(
      after.resources.clusters.map(({ name }) => name),
      before.resources.clusters.map(({ name }) => name),
    );
  });

  test("a node that is none, and a node file that is missing, are said", async (t) => {
    const wrong = await source(copy(t), "sidecar~x").load(undefined);
    assert.ok(!wrong.ok);
    assert.match(wrong.issues[0]?.text ?? "", /no node id/);
    const missing = await createMeshSource({ folder: sample, flags: {}, nodeFile: "/nonexistent/node.json", environment: {} }).load(
      undefined,
    );
    assert.ok(!missing.ok);
    assert.match(missing.issues[0]?.text ?? "", /node\.json: cannot be read/);
  });
});
