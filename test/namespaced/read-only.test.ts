// A proxy where nothing can be written: it needs no place of its own.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNamespace } from "../support/namespace.ts";

test("a read-only root file system is enough", (t) => {
  const result = runInNamespace(import.meta.url, "read-only-inside.ts", [], { users: false, pods: true, timeoutMs: 90_000 });
  if ("skip" in result) return t.skip(result.skip);
  if ("failed" in result) return assert.fail(result.failed);
  const { writable, ...seen } = result.seen as { readonly writable: readonly string[] };
  if (writable.length > 0) return t.skip(`the kernel leaves ${writable.join()} writable here`);
  assert.deepEqual(seen, { answered: "hello", code: 0, complaints: [] });
});
