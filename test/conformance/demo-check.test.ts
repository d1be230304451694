// The README's walk through docker-compose.yml, on a real Docker engine.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { suite, test } from "node:test";
import { startDockerEngine } from "../support/docker-engine.ts";
import { repositoryRoot } from "./reference.ts";

/** Building, starting forty containers and three dozen steps take two minutes when nothing is in their way. */
const limitMs = 480_000;

suite("docker-compose.yml", () => {
  test("every command of the README's walk prints what the README says", async (t) => {
    // It installs, builds and starts for minutes, which a run of everything else should not have to wait for.
    if (process.env["ISTHMUS_DEMO_CHECK"] !== "1") return t.skip("set ISTHMUS_DEMO_CHECK=1 to run the walk on a Docker engine");
    const engine = await startDockerEngine();
    if (typeof engine === "string") return t.skip(engine);
    try {
      const child = spawn(path.join(repositoryRoot, "scripts", "demo-check"), {
        env: { ...process.env, ...engine.environment },
        stdio: ["ignore", "pipe", "pipe"],
        timeout: limitMs,
      });
      let output = "";
      for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (output += text));
      const [status] = (await once(child, "close")) as [number | null];
      assert.equal(status, 0, output);
      const [, steps = "0"] = /^(\d+) passed, 0 failed$/m.exec(output) ?? [];
      assert.ok(Number(steps) > 20, output);
      t.diagnostic(`${steps} steps; those that took ten seconds or several tries:`);
      for (const [line] of output.matchAll(/^ok +(?:\d{2,}\.\d s .*|.* tries\))$/gm)) t.diagnostic(line);
    } finally {
      await engine.stop();
    }
  });
});
