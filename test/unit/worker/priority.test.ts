import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import os from "node:os";
import { test } from "node:test";
import { Worker } from "node:worker_threads";

const skip = process.platform !== "linux" && "threads have a nice value of their own on Linux alone";

/** What a thread of this process gets that asks for this nice value. */
async function ask(wanted: number): Promise<{ readonly taken: boolean; readonly has: number }> {
  const module = new URL("../../../src/worker/priority.ts", import.meta.url);
  const script = `
    import(${JSON.stringify(module.href)}).then(({ takePriority }) => {
      const taken = takePriority(${wanted});
      const thread = Number(require("node:fs").readlinkSync("/proc/thread-self").split("/").at(-1));
      require("node:worker_threads").parentPort.postMessage({ taken, has: require("node:os").getPriority(thread) });
    });`;
  const worker = new Worker(script, { eval: true });
  const [answer] = (await once(worker, "message")) as [{ taken: boolean; has: number }];
  await worker.terminate();
  return answer;
}

test("a thread takes the nice value it is to have, and nobody else's changes", { skip }, async () => {
  const before = os.getPriority();
  for (const wanted of [before, Math.min(19, before + 3)]) assert.deepEqual(await ask(wanted), { taken: true, has: wanted });
  assert.equal(os.getPriority(), before);
});

test("one that may not take it goes on with what it has", { skip: skip || (process.getuid?.() === 0 && "root may take any") }, async () => {
  const before = os.getPriority();
  assert.deepEqual(await ask(before - 1), { taken: false, has: before });
});

test("the main thread gives way to the threads of before it, V8's helpers half as far", { skip }, () => {
  const module = new URL("../../../src/worker/priority.ts", import.meta.url);
  const script = `
    import fs from "node:fs";
    import os from "node:os";
    import { giveWayToTraffic } from ${JSON.stringify(module.href)};
    const before = os.getPriority();
    giveWayToTraffic();
    const tasks = fs.readdirSync("/proc/self/task").map(Number);
    const helpers = tasks.filter((task) => fs.readFileSync("/proc/self/task/" + task + "/comm", "utf8") === "V8Worker\\n");
    const steps = (task) => os.getPriority(task) - before;
    const others = tasks.filter((task) => task !== process.pid && !helpers.includes(task));
    console.log(JSON.stringify([steps(process.pid), ...[helpers, others].map((all) => [...new Set(all.map(steps))])]));`;
  const said = execFileSync("nice", ["-n", "0", process.execPath, "--v8-pool-size=1", "--input-type=module", "-e", script], {
    encoding: "utf8",
  });
  assert.deepEqual(JSON.parse(said), [10, [5], [0]]);
});
