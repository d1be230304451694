// The README's walk through docker-compose.yml, on a real Docker engine.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import os from "node:os";
import path from "node:path";
import { suite, test } from "node:test";
import { startDockerEngine } from "../support/docker-engine.ts";
import { repositoryRoot } from "./reference.ts";

/** Building, starting forty containers and three dozen steps take three minutes when nothing is in their way. */
const limitMs = 540_000;

/** The networks of docker-compose.yml, which a machine can have once. */
const networks = /^10\.20[12]\.0\./;

suite("docker-compose.yml", () => {
  test("every command of the README's walk prints what the README says", async (t) => {
    if (process.env["ISTHMUS_DEMO_CHECK"] === "0") return t.skip("ISTHMUS_DEMO_CHECK=0");
    const taken = Object.values(os.networkInterfaces()).flatMap((addresses) => addresses ?? []);
    const own = taken.find(({ address }) => networks.test(address));
    if (own !== undefined) return t.skip(`this machine has the address ${own.address} already: the demo is running, or something like it`);
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
      t.diagnostic(`storage driver: ${engine.driver}`);
      t.diagnostic(/^ok .*the image has less than.*$/m.exec(output)?.[0] ?? "");
      t.diagnostic(`${steps} steps; those that took ten seconds or several tries:`);
      for (const [line] of output.matchAll(/^ok +(?:\d{2,}\.\d s .*|.* tries\))$/gm)) t.diagnostic(line);
    } finally {
      await engine.stop();
    }
  });
});
