import assert from "node:assert/strict";
import { test } from "node:test";
import { createRequestId } from "../../../src/http/request-id.ts";

test("ids are version 4 UUIDs and do not repeat, over many batches of random bytes", () => {
  const ids = new Set(Array.from({ length: 2000 }, createRequestId));
  assert.equal(ids.size, 2000);
  for (const id of ids) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});
