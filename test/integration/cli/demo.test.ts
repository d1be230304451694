// The demo on loopback: the whole crossing in processes of their own, twice, the second time beside a first that still runs.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../../../scripts/isthmus", import.meta.url));

suite("isthmus demo", () => {
  test("--once crosses the clusters and exits 0, also where another demo holds the usual ports", { timeout: 120_000 }, async () => {
    const first = start([]);
    try {
      await first.saw("Try it");
      const second = start(["--once"]);
      assert.equal(await second.exited, 0, second.output());
      assert.match(second.output(), /port \d+ is taken on this machine/);
      assert.doesNotMatch(second.output(), /FAIL/);
    } finally {
      first.child.kill("SIGINT");
    }
    assert.equal(await first.exited, 0, first.output());
    const pids = [...first.output().matchAll(/process (\d+)/g)].map(([, pid]) => Number(pid));
    assert.equal(pids.length, 5);
    assert.deepEqual(pids.filter(isAlive), [], "every process that the demo started has ended");
  });
});

function start(args: readonly string[]): {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  output(): string;
  saw(text: string): Promise<void>;
} {
  const child = spawn(program, ["demo", "--loopback", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const exited = once(child, "close").then(([code]) => code as number | null);
  const saw = async (text: string): Promise<void> => {
    while (!output.includes(text)) {
      const ended = await Promise.race([once(child.stdout, "data").then(() => false), exited.then(() => true)]);
      if (ended && !output.includes(text)) assert.fail(`the demo ended before it said "${text}":\n${output}`);
    }
  };
  return { child, exited, output: () => output, saw };
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false; // no such process
  }
}
