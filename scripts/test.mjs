// Runs the whole check of the repository, stage by stage, and closes with one count of everything that ran.
// usage: node scripts/test.mjs [STAGE...]   stages in order: format lint types presubmit unit contract golden integration namespaced conformance
// Exit code 1 when anything failed. Started under an older Node, it starts itself again under the pinned one.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { run } from "node:test";
import { spec } from "node:test/reporters";

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
  const files = testFiles(path.join(root, "test", stage));
  if (files.length === 0) {
    process.stdout.write("no tests\n");
    return;
  }
  const { concurrency, minutes } = folders[stage];
  const stream = run({ files, concurrency, timeout: minutes * 60_000, cwd: root });
  let counts;
  let failed = false;
  stream.on("test:fail", (event) => {
    if (event.todo === undefined && event.skip === undefined) failed = true;
  });
  // One summary comes per file and one, without a file, for the run.
  stream.on("test:summary", (event) => {
    if (event.file === undefined) counts = event.counts;
  });
  for await (const line of stream.compose(new spec())) process.stdout.write(line);
  if (counts === undefined) failed = true;
  else for (const key of Object.keys(total)) total[key] += counts[key] ?? 0;
  if (failed) failures.push(stage);
}

function testFiles(folder) {
  if (!fs.existsSync(folder)) return [];
  return fs
    .readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith(".test.ts"))
    .map((name) => path.join(folder, name))
    .sort();
}
