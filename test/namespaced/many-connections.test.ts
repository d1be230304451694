// Ten thousand connections at once through one sidecar, each of which is answered twice: HTTP across the clusters, and bytes.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { suite, test } from "node:test";
import { runInNamespace } from "../support/namespace.ts";

const wanted = 10_000;
// The process's own, what it keeps back, and connections upstream that are shared.
const others = 2000;

interface Seen {
  readonly first: number;
  readonly refused: number;
  readonly second: number;
  readonly lost: number;
  readonly before: { readonly megabytes: number; readonly descriptors: number };
  readonly during: { readonly megabytes: number; readonly descriptors: number };
  readonly after: string;
}

suite("connections through one sidecar", () => {
  for (const [kind, descriptorsEach] of [
    ["http", 1],
    // One to each side.
    ["tcp", 2],
  ] as const) {
    test(`${wanted} of ${kind}`, (t) => {
      const limit = Number(spawnSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).stdout.trim().replace("unlimited", "1e9"));
      const count = Math.min(wanted, Math.floor((limit - others) / descriptorsEach));
      if (count < wanted) t.diagnostic(`only ${count}: a process may have ${limit} descriptors here`);
      if (count < wanted / 10) return t.skip(`a process may have ${limit} descriptors here`);
      const options = { users: true, pods: true, timeoutMs: 240_000 };
      const result = runInNamespace(import.meta.url, "many-connections-inside.ts", [String(count), kind], options);
      if ("skip" in result) return t.skip(result.skip);
      if ("failed" in result) return assert.fail(result.failed);
      const seen = result.seen as Seen;
      const { first, refused, second, lost, before, during, after } = seen;
      assert.deepEqual({ first, refused, second, lost, after }, { first: count, refused: 0, second: count, lost: 0, after: "200" });
      const bytes = Math.round(((during.megabytes - before.megabytes) * (1 << 20)) / count);
      t.diagnostic(`sidecar: ${before.megabytes} MB before, ${during.megabytes} MB with ${count} connections: ${bytes} bytes each`);
      assert.ok(bytes < 52_000, JSON.stringify(seen));
      assert.ok(during.descriptors - before.descriptors < count * descriptorsEach + 1000, JSON.stringify(seen));
    });
  }
});
