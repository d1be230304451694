// Ten thousand connections at once through one sidecar and across the clusters, each of which is answered twice.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { runInNamespace } from "../support/namespace.ts";

const count = 10_000;
// A descriptor each, with room for the process's own and for connections upstream.
const needed = count + 2000;

interface Seen {
  readonly first: number;
  readonly refused: number;
  readonly second: number;
  readonly lost: number;
  readonly before: { readonly megabytes: number };
  readonly during: { readonly megabytes: number };
  readonly after: string;
}

test("10,000 connections through one sidecar", (t) => {
  const limit = spawnSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).stdout.trim();
  if (limit !== "unlimited" && Number(limit) < needed) return t.skip(`a process may have ${limit} descriptors here, not ${needed}`);
  const result = runInNamespace(import.meta.url, "many-connections-inside.ts", [String(count)], {
    users: true,
    pods: true,
    timeoutMs: 240_000,
  });
  if ("skip" in result) return t.skip(result.skip);
  if ("failed" in result) return assert.fail(result.failed);
  const seen = result.seen as Seen;
  const { first, refused, second, lost, before, during, after } = seen;
  assert.deepEqual({ first, refused, second, lost, after }, { first: count, refused: 0, second: count, lost: 0, after: "200" });
  t.diagnostic(`sidecar: ${before.megabytes} MB before, ${during.megabytes} MB with ${count} connections`);
  assert.ok(during.megabytes - before.megabytes < 500, JSON.stringify(seen));
});
