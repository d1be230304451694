// httpbin.bar.global at the address that replicated control planes give it: class E, so it needs an interface that has it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const inside = fileURLToPath(new URL("global-host-call.ts", import.meta.url));

function run(...command: readonly string[]): { readonly ok: boolean; readonly output: string } {
  const [file = "", ...args] = command;
  // The variable would make the inner process report to this one's test runner instead of printing.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const done = spawnSync(file, args, { encoding: "utf8", timeout: 60_000, env });
  return { ok: done.status === 0, output: `${done.stdout ?? ""}${done.stderr ?? ""}` };
}

test("httpbin.bar.global at 240.0.0.2 is answered by the other cluster", (t) => {
  if (process.getuid?.() !== 0) return t.skip("needs root, for a network namespace");
  const name = `isthmus-global-${process.pid}`;
  const made = run("ip", "netns", "add", name);
  if (!made.ok) return t.skip(`no network namespaces here: ${made.output.trim()}`);
  t.after(() => void run("ip", "netns", "del", name));
  for (const setUp of [
    ["ip", "-n", name, "link", "set", "lo", "up"],
    ["ip", "-n", name, "addr", "add", "240.0.0.2/32", "dev", "lo"],
  ]) {
    const done = run(...setUp);
    if (!done.ok) return t.skip(`${setUp.join(" ")}: ${done.output.trim()}`);
  }
  const { output } = run("ip", "netns", "exec", name, process.execPath, inside);
  assert.match(output, /SEEN 240\.0\.0\.2 200 envoy timed END/);
});
