// A proxy that runs out of descriptors: what is open goes on, what is new is refused, and both the log and the stats say so.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { startEcho, startProxyProcessBy, temporaryFolder, writeTcpBootstrap } from "./run-process.ts";

const limit = 120;
const clients = 200;

// Clock ticks that the process has run for.
function ticks(pid: number): number {
  const [user, system] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ").slice(11, 13) ?? [];
  return Number(user) + Number(system);
}

async function opens(port: number): Promise<Socket | undefined> {
  const socket = connect(port, "127.0.0.1").on("error", () => socket.destroy());
  socket.write("x");
  const answered = await Promise.race([
    once(socket, "data").then(() => true),
    new Promise((resolve) => socket.once("close", () => resolve(false))),
  ]);
  return answered === true ? socket : undefined;
}

test(
  "connections beyond the descriptors are refused and do no harm",
  { skip: process.platform !== "linux", timeout: 60_000 },
  async (t) => {
    const folder = temporaryFolder(t);
    const file = join(folder, "bootstrap.yaml");
    writeTcpBootstrap(file, { upstream: await startEcho(t), log: join(folder, "log") });
    const limited = ["sh", "-c", `ulimit -n ${limit}; exec "$0" "$@"`];
    const proxy = await startProxyProcessBy(t, limited, "-c", file, "--concurrency", "1");
    assert.match(proxy.output(), new RegExp(`may have few open files.* limit=${limit} connections=${limit / 2}`));
    const port = await proxy.port("tcp");
    const sockets = await Promise.all(Array.from({ length: clients }, () => opens(port)));
    const open = sockets.filter((socket) => socket !== undefined);
    t.after(() => open.forEach((socket) => socket.destroy()));
    assert.ok(open.length >= 10 && open.length < limit / 2, `${open.length} of ${clients} connections`);
    assert.equal(await proxy.stat(`listener.127.0.0.1_0.downstream_global_cx_overflow`), clients - open.length);
    assert.equal(proxy.output().split("descriptors run out").length, 2, proxy.output());

    const before = ticks(proxy.child.pid ?? 0);
    for (let round = 0; round < 20; round++) {
      await Promise.all(open.map((socket) => (socket.write("y"), once(socket, "data"))));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    // A second of echoes: a loop that spins would take all of its hundred ticks.
    assert.ok(ticks(proxy.child.pid ?? 0) - before < 60, "it spins");

    for (const socket of open) socket.destroy();
    for (let again = await opens(port); ; again = await opens(port)) {
      if (again === undefined) continue;
      again.destroy();
      break;
    }
  },
);
