import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { getPriority } from "node:os";
import { suite, test } from "node:test";
import { startSidecar } from "./agent-process.ts";

const skip = process.platform !== "linux" && "threads have a nice value of their own on Linux alone";
/** Says its own nice value, and ends when the proxy is gone. */
const application = `console.log("application has " + require("node:os").getPriority());
  const proxy = process.ppid;
  setInterval(() => process.ppid === proxy || process.exit(), 20)`;

interface Thread {
  readonly id: string;
  readonly name: string;
  readonly nice: number;
}

/** Fields 2 and 19 of proc_pid_stat(5). */
function threads(pid: number): readonly Thread[] {
  return readdirSync(`/proc/${pid}/task`).map((id) => {
    const stat = readFileSync(`/proc/${pid}/task/${id}/stat`, "utf8");
    const end = stat.lastIndexOf(")");
    return { id, name: stat.slice(stat.indexOf("(") + 1, end), nice: Number(stat.slice(end + 2).split(" ")[16]) };
  });
}

suite("priority", { skip, timeout: 60_000 }, () => {
  for (const command of [[], [process.execPath, "-e", application]])
    test(`traffic goes before configuration, ${command.length > 0 ? "and so does an application" : "without an application"}`, async (t) => {
      const sidecar = await startSidecar(t, { command });
      const usual = getPriority();
      if (command.length > 0) {
        const [, own] = await sidecar.saw(/application has (-?\d+)/);
        assert.equal(Number(own), usual);
      }
      const pid = sidecar.child.pid ?? 0;
      const main = (): number | undefined => threads(pid).find(({ id }) => id === String(pid))?.nice;
      for (const end = Date.now() + 10_000; main() === usual; await new Promise((resolve) => setTimeout(resolve, 10)))
        assert.ok(Date.now() < end, "the main thread gives way");
      const others = Object.groupBy(
        threads(pid).filter(({ id }) => id !== String(pid)),
        ({ name }) => (name === "V8Worker" ? "helpers" : "traffic"),
      );
      const values = (some: readonly Thread[] = []): readonly number[] => [...new Set(some.map(({ nice }) => nice))];
      assert.equal(main(), Math.min(19, usual + 10));
      assert.deepEqual(values(others.helpers), [Math.min(19, usual + 5)], "V8's helpers give way half as far");
      assert.deepEqual(values(others.traffic), [usual], "threads of traffic are as they were");
    });
});
