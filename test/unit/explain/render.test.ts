// Explanations as text: one line a step, reasons with their places, warnings, and the verdict as the access log has it.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { Narrative } from "../../../src/explain/explanation.ts";
import { renderExplanation } from "../../../src/explain/render.ts";

function explanation(): Parameters<typeof renderExplanation>[0] {
  const story = new Narrative();
  story.step("dns", "books is 10.0.0.1").because("Service shop/books", { file: "k8s/a.yaml", line: 3 });
  story.of("gateway in west").step("filter_chain", "none: no_sni", {}, true);
  story.warn("no_endpoints", "nothing there");
  story.warn("no_endpoints", "nothing there");
  return {
    question: "GET http://books/",
    steps: story.steps,
    warnings: story.warnings,
    verdict: { sent: false, status: 503, flags: "UF", details: "why", text: "answered with 503" },
  };
}

suite("renderExplanation", () => {
  test("plain", () => {
    assert.equal(
      renderExplanation(explanation(), false),
      `GET http://books/

  DNS        books is 10.0.0.1
             - Service shop/books (k8s/a.yaml:3)
      at gateway in west
      chain      none: no_sni

warning no_endpoints: nothing there

FAILS: answered with 503
the access log says: 503 UF why
`,
    );
  });

  test("in colour it says the same", () => {
    // eslint-disable-next-line no-control-regex
    const plain = renderExplanation(explanation(), true).replaceAll(/\u001b\[\d+m/g, "");
    assert.equal(plain, renderExplanation(explanation(), false));
    assert.notEqual(renderExplanation(explanation(), true), plain);
  });
});
