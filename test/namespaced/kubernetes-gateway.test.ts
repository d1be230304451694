// The gateway of config/kubernetes answers its probes and scrapes as its Deployment asks for them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runInNamespace } from "../support/namespace.ts";

test("the Deployment's gateway is not ready, then ready on its pod's address, and not ready again while it ends", (t) => {
  const result = runInNamespace(import.meta.url, "kubernetes-gateway-inside.ts", [], { users: false, timeoutMs: 120_000 });
  if ("skip" in result) return t.skip(result.skip);
  if ("failed" in result) return assert.fail(result.failed);
  assert.deepEqual(result.seen, { statuses: [503, 200], ready: 200, metrics: true, connected: true, draining: 503, code: 0 });
});
