// Programs that are compared with or talked to where a machine has them: in $PEERS_BIN, in the peers' usual folder, or on PATH.
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { rm } from "node:fs/promises";
import { connect } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";

/** How to start a program, or why that cannot be done here. */
export type PeerProgram = { readonly path: string } | { readonly missing: string };

/** Looks for a program that answers `probe` with success. */
export function findPeer(name: string, probe: readonly string[]): PeerProgram {
  const folders = [process.env["PEERS_BIN"] ?? join(homedir(), ".cache", "isthmus-peers", "bin")];
  for (const path of [...folders.map((folder) => join(folder, name)), name])
    if (spawnSync(path, probe, { stdio: "ignore", timeout: 20_000 }).status === 0) return { path };
  return { missing: `${name} is neither in $PEERS_BIN nor on PATH` };
}

/** Runs a program until the test ends, and waits until it accepts connections. */
export async function startPeer(
  t: TestContext,
  path: string,
  args: readonly string[],
  address: { readonly host: string; readonly port: number },
): Promise<ChildProcess> {
  const child = spawn(path, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (chunk: Buffer) => (output = (output + chunk.toString()).slice(-4000)));
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  });
  for (const deadline = Date.now() + 20_000; !(await accepts(address));) {
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`${path} did not start: ${output}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return child;
}

function accepts(address: { readonly host: string; readonly port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address);
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

/** Ends a program and removes its folder. */
export async function endPeer(child: ChildProcess, folder: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
  }
  await rm(folder, { recursive: true, force: true });
}
