// httpbin.bar.global at the address that replicated control planes give it: class E, so it needs an interface that has it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNamespace } from "../support/namespace.ts";

test("httpbin.bar.global at 240.0.0.2 is answered by the other cluster", (t) => {
  const result = runInNamespace(import.meta.url, "global-host-call.ts", [], { users: false, timeoutMs: 60_000 });
  if ("skip" in result) return t.skip(result.skip);
  assert.deepEqual(result, { seen: { addresses: ["240.0.0.2"], status: 200, server: "envoy", timed: true } });
});
