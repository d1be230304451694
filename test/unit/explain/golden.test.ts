// Every host and port of every golden mesh, asked of every node: an explanation never throws, and never contradicts itself.
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { explain } from "../../../src/explain/explain.ts";
import { explainMesh } from "../../../src/explain/mesh/load.ts";
import { parseQuestion } from "../../../src/explain/question.ts";
import { loadMeshDirectory } from "../../../src/source/mesh/directory/load.ts";
import { buildServiceRegistry } from "../../../src/source/mesh/registry/service-registry.ts";
import { sentences } from "../../support/explained-mesh.ts";

const root = fileURLToPath(new URL("../../golden/mesh", import.meta.url));
const meshes = readdirSync(root).filter((name) => existsSync(join(root, name, "mesh", "nodes.yaml")));

suite("explanations over the golden meshes", () => {
  for (const name of meshes) {
    test(name, async () => {
      const loaded = await loadMeshDirectory(join(root, name, "mesh"), { variables: {} });
      const targets = buildServiceRegistry(loaded.mesh).services.flatMap(({ hostname, ports }) =>
        ports.map(({ port }) => `${hostname.replace("*", "a")}:${port}`),
      );
      assert.ok(targets.length > 0 && loaded.nodes.size > 0);
      for (const node of loaded.nodes.values()) {
        const { config } = await explainMesh(loaded, node);
        for (const target of targets) {
          for (const tcp of [false, true]) {
            const question = parseQuestion({ target, tcp });
            assert.ok(!("problem" in question), target);
            const explanation = explain(config, question);
            const { steps, verdict } = explanation;
            const text = sentences(explanation);
            assert.ok(steps.length > 0 && verdict.text !== "", text);
            // What is sent on has no failed step of its own on the way; what fails has a reason.
            if (verdict.sent && verdict.flags === "-")
              assert.ok(!steps.some((step) => step.at === "" && step.failed && step.kind !== "listener"), text);
            else assert.ok(steps.some((step) => step.failed) || explanation.warnings.length > 0 || (verdict.status ?? 0) >= 400, text);
          }
        }
      }
    });
  }
});
