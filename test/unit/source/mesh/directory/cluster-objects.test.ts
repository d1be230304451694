// What is kept of a directory from load to load, and what is not.
import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { suite, test } from "node:test";
import { loadMeshDirectory } from "../../../../../src/source/mesh/directory/load.ts";
import { formatIssue } from "../../../../../src/source/yaml-document.ts";
import { meshFolder, workload, writeFiles } from "../mesh-folder.ts";

const one = workload({ name: "a", vip: "10.0.1.1", podIp: "10.0.0.1" });
const other = workload({ name: "b", vip: "10.0.1.2", podIp: "10.0.0.2" });
const two = one + other;

suite("loaded again", () => {
  test("clusters in whose files nothing changed are the same, and of the others the lists in which nothing did", async (t) => {
    const dir = await meshFolder(t, { "k8s/c1.yaml": two, "k8s/c2.yaml": two });
    const first = await loadMeshDirectory(dir);
    await writeFiles(dir, { "k8s/c1.yaml": two.replace("addresses: [10.0.0.1]", "addresses: [10.0.0.9]") });
    const second = await loadMeshDirectory(dir, { previous: first });
    const [before, now] = [first.mesh.clusters[0] ?? assert.fail(), second.mesh.clusters[0] ?? assert.fail()];
    assert.equal(second.mesh.clusters[1], first.mesh.clusters[1]);
    assert.deepEqual([now.services === before.services, now.pods === before.pods, now.nodes === before.nodes], [true, true, true]);
    assert.deepEqual([now.endpointSlices[0] === before.endpointSlices[0], now.endpointSlices[1]], [false, before.endpointSlices[1]]);
    assert.equal(second.objects.length, first.objects.length);
    assert.equal(second.objectsOf.get("c2"), first.objectsOf.get("c2"));
  });

  test("what only moved is the same, and its issues name the new place", async (t) => {
    const lost = `---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: l, labels: {kubernetes.io/service-name: gone}}\nendpoints: []\n`;
    const dir = await meshFolder(t, { "k8s/c1.yaml": one + lost });
    const first = await loadMeshDirectory(dir);
    await writeFiles(dir, { "k8s/c1.yaml": `# a line\n# another\n${one}${lost}` });
    const second = await loadMeshDirectory(dir, { previous: first });
    assert.equal(second.mesh.clusters[0], first.mesh.clusters[0]);
    const [before, now] = [first, second].map(({ issues }) => issues.map(({ line }) => line));
    assert.deepEqual(
      now,
      before?.map((line) => line + 2),
    );
  });

  test("a copy is named for as long as it is there, and takes over when the first one goes", async (t) => {
    const dir = await meshFolder(t, { "k8s/c1/a.yaml": one, "k8s/c1/b.yaml": other });
    const vips = (loaded: Awaited<ReturnType<typeof loadMeshDirectory>>): readonly string[] =>
      loaded.mesh.clusters.flatMap(({ services }) => services.flatMap(({ spec }) => spec.clusterIps));
    let loaded = await loadMeshDirectory(dir);
    const steps: readonly (readonly [string, string | undefined, readonly string[], number])[] = [
      ["k8s/c1/c.yaml", one.replace("10.0.1.1", "10.0.1.7"), ["10.0.1.1", "10.0.1.2"], 3],
      ["k8s/c1/b.yaml", other.replace("10.0.1.2", "10.0.1.3"), ["10.0.1.1", "10.0.1.3"], 3],
      ["k8s/c1/a.yaml", undefined, ["10.0.1.3", "10.0.1.7"], 0],
      ["k8s/c1/a.yaml", one, ["10.0.1.1", "10.0.1.3"], 3],
      ["k8s/c1/c.yaml", undefined, ["10.0.1.1", "10.0.1.3"], 0],
      ["k8s/c1/b.yaml", two, ["10.0.1.1", "10.0.1.2"], 3],
    ];
    for (const [file, text, expected, repeats] of steps) {
      if (text === undefined) await rm(join(dir, file));
      else await writeFiles(dir, { [file]: text });
      loaded = await loadMeshDirectory(dir, { previous: loaded });
      assert.deepEqual(
        [vips(loaded), loaded.issues.map(formatIssue).filter((line) => line.includes("repeats")).length],
        [expected, repeats],
        `${file} ${text}`,
      );
    }
  });
});
