// The demo with pods, as a user runs it: all checks, a program in a pod of the running demo, and nothing left of it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { suite, test } from "node:test";
import { podsPossible } from "../../src/cli/demo/launch.ts";
import { isthmus, startDemo } from "../support/demo-process.ts";

const possible = podsPossible();
const skip = "reason" in possible ? `no pods here: ${possible.reason}` : false;

// Processes below one, by /proc: those of another PID namespace too.
function below(pid: number): readonly number[] {
  const said = spawnSync("cat", [`/proc/${pid}/task/${pid}/children`], { encoding: "utf8" });
  const own = said.stdout.trim().split(" ").filter(Boolean).map(Number);
  return [...own, ...own.flatMap(below)];
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false; // no such process
  }
}

async function gone(pids: readonly number[]): Promise<void> {
  const untilMs = performance.now() + 10_000;
  while (pids.some(isAlive)) {
    if (performance.now() > untilMs) assert.fail(`still there: ${pids.filter(isAlive).join()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

suite("isthmus demo in pods", { skip }, () => {
  test("--once checks the crossing and the interception and exits 0", { timeout: 120_000 }, async () => {
    const demo = startDemo("--once");
    assert.equal(await demo.exited, 0, demo.output());
    assert.match(demo.output(), /an unmodified program asks for http:\/\/httpbin:8000\/headers/);
    assert.doesNotMatch(demo.output(), /FAIL/);
    assert.equal(demo.output().match(/^ {2}ok {4}/gm)?.length, 19);
  });

  for (const [signal, code] of [
    // What even that leaves in the temporary folder, the next start takes away.
    ["SIGKILL", null],
    ["SIGINT", 0],
    ["SIGTERM", 0],
  ] as const) {
    test(`it stays up for a shell in a pod, and ${signal} leaves nothing`, { timeout: 120_000 }, async () => {
      const demo = startDemo();
      try {
        await demo.saw("Ctrl-C here ends everything");
        const page = spawnSync(
          isthmus,
          ["shell", "sleep", process.execPath, "-e", "fetch('http://httpbin:8000/ip').then(async (r) => console.log(await r.text()))"],
          {
            encoding: "utf8",
            timeout: 30_000,
          },
        );
        assert.match(page.stdout, /127\.0\.0\.6/, page.stderr);
        const pids = below(demo.child.pid ?? 0);
        assert.ok(pids.length >= 6, `the demo has ${pids.length} processes`);
        demo.child.kill(signal);
        assert.equal(await demo.exited, code, demo.output());
        await gone(pids);
      } finally {
        demo.child.kill("SIGINT");
      }
    });
  }
});
