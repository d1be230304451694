import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { collectFields, fieldsFile, renderFields } from "../../../scripts/envoy-fields.ts";

test("fields.json is what scripts/envoy-fields.ts makes of the .proto files", () => {
  assert.equal(readFileSync(fieldsFile, "utf8"), renderFields(collectFields()));
});
