// Reasons of an east-west gateway, each with a sentence that does without the reason's own words.
import assert from "node:assert/strict";
import { test } from "node:test";
import { whatRefusalMeans } from "../../../../src/explain/step/refusals.ts";
import { sniRefusals } from "../../../../src/filter/sni-refusal.ts";

test("every reason has a sentence, and no other listener's has", () => {
  for (const reason of sniRefusals) {
    const meaning = whatRefusalMeans(reason) ?? "";
    assert.ok(meaning.split(" ").length > 5 && !meaning.includes("_no_") && !meaning.includes(reason), `${reason}: ${meaning}`);
  }
  assert.equal(new Set(sniRefusals.map(whatRefusalMeans)).size, sniRefusals.length);
  assert.equal(whatRefusalMeans("filter_chain_not_found"), undefined);
});
