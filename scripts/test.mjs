// Runs the whole check of the repository, stage by stage, and closes with one count of everything that ran.
// usage: node scripts/test.mjs [STAGE...]   stages in order: format lint types presubmit unit contract golden integration namespaced conformance
// Exit code 1 when anything failed. Started under an older Node, it starts itself again under the pinned one.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const bin = path.join(root, "node_modules", ".bin");
// Hundreds of processes load the same modules: types are stripped once.
process.env.NODE_COMPILE_CACHE ??= path.join(root, "node_modules", ".cache", "isthmus");
const env = { ...process.env, PATH: `${bin}${path.delimiter}${process.env.PATH ?? ""}` };

/** Tools that read the tree; each counts as one test. */
const checks = {
  format: ["oxfmt", "--check", "src", "test", "scripts", "package.json"],
  lint: ["oxlint", "--deny-warnings", "src", "test", "scripts"],
  types: ["tsc", "-p", "."],
};

/** Folders under test/. `concurrency` is files at a time; `minutes` bounds one file. */
const folders = {
  presubmit: { concurrency: 2, minutes: 3 },
  unit: { concurrency: 2, minutes: 2 },
  contract: { concurrency: 2, minutes: 2 },
  golden: { concurrency: 2, minutes: 2 },
  integration: { concurrency: 2, minutes: 4 },
  // These make network namespaces and time what they see, so nothing may run beside them.
  namespaced: { concurrency: 1, minutes: 5 },
  conformance: { concurrency: 1, minutes: 12 },
};

/** A file whose tests are over may take this long to end, or it has left something open. */
const lingerMs = 20_000;

const pinned = path.join(bin, "node");
if (Number(process.versions.node.split(".")[0]) < 24 && fs.existsSync(pinned)) {
  const again = spawnSync(pinned, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: "inherit", env });
  process.exit(again.status ?? 1);
}

const known = [...Object.keys(checks), ...Object.keys(folders)];
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`unknown stage ${unknown.join(", ")}; stages: ${known.join(" ")}\n`);
  process.exit(2);
}

// An older Node, which is gone by now, could not have read it.
const { endAll, runFile } = await import("./test-file.ts");
process.once("exit", endAll);
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
])
  process.once(signal, () => process.exit(code));

const total = { tests: 0, suites: 0, passed: 0, failed: 0, cancelled: 0, skipped: 0, todo: 0 };
const failures = [];
const startedAt = performance.now();

for (const stage of known.filter((name) => wanted.length === 0 || wanted.includes(name))) {
  process.stdout.write(`\n== ${stage}\n`);
  if (stage in checks) check(stage);
  else await runFolder(stage);
}

const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
process.stdout.write(
  `\ntests ${total.tests}\nsuites ${total.suites}\npass ${total.passed}\nfail ${total.failed}\ncancelled ${total.cancelled}\n` +
    `skipped ${total.skipped}\ntodo ${total.todo}\nduration ${seconds} s\n`,
);
if (failures.length > 0) process.stdout.write(`failed: ${failures.join(", ")}\n`);
process.stdout.write(`\n${total.passed} passed, ${total.failed + total.cancelled} failed, ${total.skipped + total.todo} skipped\n`);
process.exitCode = failures.length > 0 ? 1 : 0;

function check(stage) {
  const [tool, ...args] = checks[stage];
  const result = spawnSync(path.join(bin, tool), args, { cwd: root, stdio: "inherit", env });
  total.tests++;
  if (result.status === 0) total.passed++;
  else {
    total.failed++;
    failures.push(stage);
  }
}

async function runFolder(stage) {
  const folder = path.join(root, "test", stage);
  const files = testFiles(folder);
  if (files.length === 0) {
    process.stdout.write("no tests\n");
    return;
  }
  const { concurrency, minutes } = folders[stage];
  const failed = [];
  const worker = async () => {
    for (let file = files.shift(); file !== undefined; file = files.shift()) {
      const { output, counts, fault } = await runFile(file, {
        node: process.execPath,
        limitMs: minutes * 60_000,
        lingerMs,
        cwd: root,
        env,
      });
      const name = path.relative(root, file);
      process.stdout.write(output);
      for (const key of Object.keys(total)) total[key] += counts[key] ?? 0;
      if (fault !== undefined) {
        total.tests++;
        total.failed++;
        process.stdout.write(`✖ ${name}: ${fault}\n`);
      }
      if (fault !== undefined || counts.failed + counts.cancelled > 0) failed.push(name);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  if (failed.length > 0) failures.push(`${stage} (${failed.sort((a, b) => (a < b ? -1 : 1)).join(", ")})`);
}

function testFiles(folder) {
  if (!fs.existsSync(folder)) return [];
  return fs
    .readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => path.join(folder, name))
    .sort();
}
