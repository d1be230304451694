// Connections that netfilter redirected, on both IP families, in a network namespace of the test's own.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const inside = fileURLToPath(new URL("redirected-listener.ts", import.meta.url));

function run(...command: readonly string[]): { readonly ok: boolean; readonly output: string } {
  const [file = "", ...args] = command;
  // The variable would make the inner process report to this one's test runner instead of printing.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const done = spawnSync(file, args, { encoding: "utf8", timeout: 30_000, env });
  return { ok: done.status === 0, output: `${done.stdout ?? ""}${done.stderr ?? ""}` };
}

test("a redirected connection is served by the listener of its original destination", (t) => {
  if (process.getuid?.() !== 0) return t.skip("needs root, for a network namespace");
  const name = `isthmus-${process.pid}`;
  const made = run("ip", "netns", "add", name);
  if (!made.ok) return t.skip(`no network namespaces here: ${made.output.trim()}`);
  t.after(() => void run("ip", "netns", "del", name));
  for (const setUp of [
    ["ip", "-n", name, "link", "set", "lo", "up"],
    ["ip", "-n", name, "route", "add", "10.96.0.0/16", "dev", "lo", "src", "127.0.0.1"],
    ["ip", "-n", name, "-6", "route", "add", "fd00:96::/64", "dev", "lo", "src", "::1"],
    [
      "ip",
      "netns",
      "exec",
      name,
      "iptables",
      "-t",
      "nat",
      "-A",
      "OUTPUT",
      "-p",
      "tcp",
      "-d",
      "10.96.0.0/16",
      "-j",
      "REDIRECT",
      "--to-ports",
      "15001",
    ],
    [
      "ip",
      "netns",
      "exec",
      name,
      "ip6tables",
      "-t",
      "nat",
      "-A",
      "OUTPUT",
      "-p",
      "tcp",
      "-d",
      "fd00:96::/64",
      "-j",
      "REDIRECT",
      "--to-ports",
      "15001",
    ],
  ]) {
    const done = run(...setUp);
    if (!done.ok) return t.skip(`${setUp.join(" ")}: ${done.output.trim()}`);
  }
  const { output } = run("ip", "netns", "exec", name, process.execPath, inside);
  const seen = /SEEN (.*) END/.exec(output)?.[1];
  assert.ok(seen, output);
  assert.deepEqual(JSON.parse(seen), [
    "exact 10.96.0.7 8000",
    "wildcard 10.96.0.8 8000",
    "virtualOutbound 10.96.0.8 9000",
    "virtualOutbound 127.0.0.1 15001",
    "wildcard6 fd00:96::7 8000",
  ]);
});
