// What a Docker engine that a test started leaves in the machine's packet rules is taken away, and nothing else.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNamespace } from "../support/namespace.ts";

test("rules, chains, policies and forwarding are as before an engine ran", (t) => {
  const result = runInNamespace(import.meta.url, "firewall-state-inside.ts", [], { users: false, timeoutMs: 60_000 });
  if ("skip" in result) return t.skip(result.skip);
  if ("failed" in result) return assert.fail(result.failed);
  const { left, ...others } = result.seen as { readonly left: readonly string[] };
  assert.deepEqual(others, { added: true, lost: [], forwards: true });
  assert.deepEqual(
    left.filter((line) => line !== "*nat" && !/^:\w+ ACCEPT$/.test(line)),
    [],
  );
});
