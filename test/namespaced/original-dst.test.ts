// Connections that netfilter redirected, on both IP families, in a network namespace of the test's own.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNamespace } from "../support/namespace.ts";

test("a redirected connection is served by the listener of its original destination", (t) => {
  const result = runInNamespace(import.meta.url, "redirected-listener.ts", [], { users: false, timeoutMs: 60_000 });
  if ("skip" in result) return t.skip(result.skip);
  assert.deepEqual(result, {
    seen: [
      "exact 10.96.0.7 8000",
      "wildcard 10.96.0.8 8000",
      "virtualOutbound 10.96.0.8 9000",
      "virtualOutbound 127.0.0.1 15001",
      "wildcard6 fd00:96::7 8000",
    ],
  });
});
