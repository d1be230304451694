// What a running proxy answers of itself: the same steps as offline, from the snapshot in force.
import assert from "node:assert/strict";
import { after, suite, test } from "node:test";
import type { NameTableJson } from "../../../src/dns/name-table.ts";
import { explainLive } from "../../../src/explain/live.ts";
import { explainMesh } from "../../../src/explain/mesh/load.ts";
import { ResourceTable } from "../../../src/snapshot/resource-table.ts";
import { loadMeshDirectory } from "../../../src/source/mesh/directory/load.ts";
import { translate } from "../../../src/source/mesh/translate.ts";
import { askMesh, writeExplainedMesh } from "../../support/explained-mesh.ts";

const { folder, remove } = writeExplainedMesh();
after(remove);

suite("explainLive", () => {
  test("takes the steps that the mesh directory would take, with the same outcomes", async () => {
    const loaded = await loadMeshDirectory(folder, { variables: {} });
    const node = loaded.nodes.get("client");
    assert.ok(node);
    const { config } = await explainMesh(loaded, node);
    const [nameTable] = translate(loaded.mesh, node).nds.resources;
    const live = { node, snapshot: config.snapshot, nameTable: nameTable as NameTableJson };
    for (const target of ["http://books/v9", "http://books/none", "http://books/api", "http://empty/", "http://www.example.com/"]) {
      const answer = explainLive(live, { target });
      assert.ok(!("problem" in answer));
      const offline = await askMesh(folder, "client", { target });
      const steps = (each: typeof offline): readonly string[] =>
        each.steps.filter(({ at }) => at === "").map(({ kind, answer: text }) => `${kind} ${text}`);
      assert.deepEqual(
        steps(answer.explanation),
        steps(offline).filter((step) => !step.startsWith("gateway")),
        target,
      );
      assert.deepEqual(answer.explanation.verdict, offline.verdict, target);
      assert.ok(answer.text.includes(offline.question.split(",")[0] ?? "-"), answer.text);
    }
  });

  test("says what is wrong with a question", () => {
    const answer = explainLive(
      {
        node: { id: "", cluster: "", locality: { region: "", zone: "", subZone: "" }, metadata: {} },
        snapshot: {
          version: 1,
          listeners: new ResourceTable([]),
          clusters: new ResourceTable([]),
          routes: new ResourceTable([]),
          endpoints: new ResourceTable([]),
          secrets: new ResourceTable([]),
        },
        nameTable: undefined,
      },
      { target: "ftp://a/" },
    );
    assert.ok("problem" in answer && /no scheme/.test(answer.problem));
  });
});
