// A proxy that runs out of descriptors: what is open goes on, what is new is refused, and both the log and the stats say so.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { startEcho, startProxyProcessBy, temporaryFolder, writeTcpBootstrap } from "./run-process.ts";

const limit = 300;
const clients = 400;

// Clock ticks that the process has run for.
function ticks(pid: number): number {
  const [user, system] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ").slice(11, 13) ?? [];
  return Number(user) + Number(system);
}

// A connection that was answered, or undefined when it was refused.
function opens(port: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => socket.destroy());
    socket.once("data", () => resolve(socket)).once("close", () => resolve(undefined));
    socket.write("x");
  });
}

const skip = process.platform === "linux" ? false : "needs Linux";

test("connections beyond the descriptors are refused and do no harm", { skip, timeout: 60_000 }, async (t) => {
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
  assert.ok(open.length >= limit / 4 && open.length < limit / 2, `${open.length} of ${clients} connections`);
  assert.equal(await proxy.stat("listener.127.0.0.1_0.downstream_global_cx_overflow"), clients - open.length);
  assert.equal(proxy.output().split("descriptors run out").length, 2, proxy.output());

  // Processor time in a second of nothing to do: a loop that spins would take all of its hundred ticks.
  const before = ticks(proxy.child.pid ?? 0);
  await setTimeout(1000);
  assert.ok(ticks(proxy.child.pid ?? 0) - before < 50, "it spins");
  await Promise.all(open.map((socket) => (socket.write("y"), once(socket, "data"))));

  for (const socket of open) socket.destroy();
  let again = await opens(port);
  for (let tries = 0; again === undefined && tries < 1000; tries++) again = await opens(port);
  assert.ok(again !== undefined, "no connection is accepted again");
  again.destroy();
});
