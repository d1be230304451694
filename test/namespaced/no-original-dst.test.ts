// A sidecar that could not find out where intercepted connections were going does not start.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const file = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));

const withoutKoffi = `const { registerHooks } = require("node:module");
registerHooks({ resolve: (name, context, next) => { if (name === "koffi") throw new Error("not installed"); return next(name, context); } });
`;

test("an intercepting sidecar without koffi says so and exits 1", (t) => {
  const namespace = ["unshare", ...(process.getuid?.() === 0 ? [] : ["-r"]), "-n"];
  const probe = spawnSync("unshare", [...namespace.slice(1), "ip", "link", "set", "lo", "up"], { encoding: "utf8", timeout: 30_000 });
  if (probe.status !== 0) return t.skip(`no network namespace: ${(probe.error?.message ?? probe.stderr).trim()}`);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "isthmus-"));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const hook = path.join(folder, "without-koffi.cjs");
  fs.writeFileSync(hook, withoutKoffi);
  const run = `ip link set lo up && exec "$@"`;
  const args = ["--require", hook, file("src/main.ts"), "run", "--mesh", file("config/mesh/bookinfo"), "--node", "sleep"];
  const [program = "", ...rest] = [...namespace, "sh", "-c", run, "sh", process.execPath, ...args];
  const done = spawnSync(program, rest, { encoding: "utf8", timeout: 60_000 });
  assert.equal(done.status, 1, done.stderr);
  assert.match(done.stderr, /^intercepted connections cannot be led on: koffi/m);
});
