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

/** By thread; field 19 of proc_pid_stat(5). */
function niceValues(pid: number): ReadonlyMap<string, number> {
  const valueOf = (thread: string): number => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[16]);
  };
  return new Map(readdirSync(`/proc/${pid}/task`).map((thread) => [thread, valueOf(thread)]));
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
      const main = (): number | undefined => niceValues(pid).get(String(pid));
      for (const end = Date.now() + 10_000; main() === usual; await new Promise((resolve) => setTimeout(resolve, 10)))
        assert.ok(Date.now() < end, "the main thread gives way");
      const others = [...niceValues(pid)].filter(([thread]) => thread !== String(pid)).map(([, nice]) => nice);
      assert.equal(main(), Math.min(19, usual + 10));
      assert.deepEqual(new Set(others), new Set([usual]), "threads of traffic are as they were");
    });
});
