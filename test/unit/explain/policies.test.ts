// What explanations say of AuthorizationPolicies at the far end, over the golden mesh that has every kind of them.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { explain } from "../../../src/explain/explain.ts";
import type { Explanation } from "../../../src/explain/explanation.ts";
import { explainMesh } from "../../../src/explain/mesh/load.ts";
import { parseQuestion, type QuestionText } from "../../../src/explain/question.ts";
import { loadMeshDirectory } from "../../../src/source/mesh/directory/load.ts";

const folder = fileURLToPath(new URL("../../golden/mesh/authorization/mesh", import.meta.url));

async function ask(node: string, question: QuestionText): Promise<Explanation> {
  const loaded = await loadMeshDirectory(folder, { variables: {} });
  const { config } = await explainMesh(loaded, loaded.nodes.get(node)!);
  const parsed = parseQuestion(question);
  assert.ok(!("problem" in parsed));
  return explain(config, parsed);
}

/** The line of a text in the policies, from 1. */
function lineOf(text: string): number {
  return (
    readFileSync(join(folder, "istio/policies.yaml"), "utf8")
      .split("\n")
      .findIndex((line) => line.includes(text)) + 1
  );
}

suite("explanations of policies", () => {
  test("a DENY rule is named, with its line", async () => {
    const { steps, verdict } = await ask("asked", { method: "TRACE", target: "http://shop.front.svc.cluster.local/" });
    const step = steps.find(({ kind }) => kind === "policy");
    assert.equal(step?.failed, true);
    assert.equal(step.data["policy"], "ns[front]-policy[deny-some]-rule[1]");
    const [reason] = step.reasons;
    assert.equal(reason?.text, "rule 1 of AuthorizationPolicy front/deny-some (DENY) matches");
    assert.equal(reason.place?.line, lineOf("methods: [TRACE]"));
    assert.deepEqual([verdict.sent, verdict.status, verdict.details], [false, 403, "via_upstream"]);
  });

  test("an ALLOW rule is named as well, and what is not asked is said", async () => {
    const { steps, verdict, warnings } = await ask("asked", { target: "http://shop.front.svc.cluster.local/" });
    const step = steps.find(({ kind }) => kind === "policy");
    assert.equal(step?.failed, false);
    assert.ok(step.reasons.some(({ text }) => text === "rule 2 of AuthorizationPolicy front/everything (ALLOW) matches"));
    assert.ok(warnings.some(({ code, text }) => code === "not_evaluated" && text.includes("tokens")));
    assert.equal(verdict.sent, true);
  });

  test("CUSTOM rules without one authorizer refuse what they match", async () => {
    const { verdict } = await ask("asked", { target: "http://mixed.custom.svc.cluster.local/one" });
    assert.match(verdict.text, /istio-ext-authz-ns\[custom\]-policy\[one\]-rule\[0\]-deny-due-to-bad-CUSTOM-action/);
  });

  test("a TCP connection meets the rules that hold without a request", async () => {
    const { steps } = await ask("asked", { target: "shop.front.svc.cluster.local:9000", tcp: true });
    assert.equal(steps.find(({ kind }) => kind === "policy")?.data["allowed"], false);
  });
});
