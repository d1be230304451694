// A test file that does not end by itself is ended, and named with what had failed by then.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { suite, test, type TestContext } from "node:test";
import { type FileOptions, runFile } from "../../scripts/test-file.ts";

const start = `import { test } from "node:test"; import net from "node:net"; import { spawn } from "node:child_process";\n`;
const timeless = { limitMs: 60_000, lingerMs: 60_000 };

const cases: readonly {
  readonly title: string;
  readonly text: string;
  readonly limits?: Partial<FileOptions>;
  readonly fault: RegExp | undefined;
  readonly failed?: number;
}[] = [
  { title: "what passes", text: `test("a", () => {});`, fault: undefined, failed: 0 },
  { title: "what fails", text: `test("a", () => { throw new Error("no"); });`, fault: undefined, failed: 1 },
  { title: "what does not load", text: `throw new Error("no");`, fault: /^ended with exit code 1$/ },
  {
    title: "a test that times out with a server open",
    text: `test("waits", { timeout: 20 }, () => { net.createServer().listen(0); return new Promise(() => {}); });`,
    limits: { lingerMs: 100 },
    fault: /left open keeps it running\n {2}✖ waits: test timed out after 20ms$/,
  },
  {
    title: "a test that passes with a server open",
    text: `test("a", () => void net.createServer().listen(0));`,
    limits: { lingerMs: 100 },
    fault: /left open keeps it running$/,
  },
  { title: "a loop", text: `test("a", () => { for (;;); });`, limits: { limitMs: 2_000 }, fault: /^still running after 2 s$/ },
  {
    title: "a program left behind that holds the output",
    text: `test("a", () => spawn("sleep", ["600"], { stdio: "inherit" }).unref());`,
    fault: undefined,
    failed: 0,
  },
];

suite("the runner of test files", () => {
  for (const { title, text, limits, fault, failed } of cases) {
    test(title, { timeout: 30_000 }, async (t) => {
      const result = await runText(t, start + text, { ...timeless, ...limits });
      if (fault === undefined) assert.equal(result.fault, undefined);
      else assert.match(result.fault ?? "", fault);
      assert.equal(result.counts["failed"], failed, result.output);
    });
  }
});

function runText(t: TestContext, text: string, limits: Pick<FileOptions, "limitMs" | "lingerMs">) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "isthmus-runner-"));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  const file = path.join(folder, "a.test.mjs");
  fs.writeFileSync(file, text);
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  return runFile(file, { node: process.execPath, cwd: folder, env, ...limits });
}
