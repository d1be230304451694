// `isthmus shell POD [COMMAND...]`: a shell, or one command, in a pod of the demo that runs.
import { spawn } from "node:child_process";
import { Argument, type Command } from "commander";
import { isAlive, startedDemos } from "./demo/launch.ts";
import { inPod } from "./demo/pod-network.ts";
import { demoPods } from "./demo/stage.ts";
import type { CliEdge } from "./program.ts";

/** Adds `isthmus shell` to the program. */
export function registerShell(program: Command, edge: CliEdge, setExit: (code: number) => void): void {
  program
    .command("shell")
    .description("open a shell, or run a command, in a pod of the running demo")
    .addArgument(new Argument("<pod>", "which").choices(demoPods.map(({ name }) => name)))
    .argument("[command...]", "instead of a shell")
    .passThroughOptions()
    .action(async (pod: string, command: readonly string[]) => setExit(await enter(pod, command, edge)));
}

async function enter(pod: string, command: readonly string[], edge: CliEdge): Promise<number> {
  const pid = startedDemos().find((demo) => isAlive(demo.pid))?.pid;
  if (pid === undefined) {
    edge.err("no demo with pods runs: start one with npm start, in another terminal\n");
    return 1;
  }
  const user = process.getuid?.() === 0 ? [] : ["--user", "--preserve-credentials"];
  const inside = command.length > 0 ? command : [edge.environment["SHELL"] ?? "/bin/sh"];
  const args = ["--target", String(pid), ...user, "--mount", "--net", "--pid", ...inPod(pod, "application", inside)];
  const child = spawn("nsenter", args, { stdio: "inherit", env: { ...process.env, debian_chroot: pod } });
  // A shell takes Ctrl-C for what runs in it.
  const forget = edge.onSignal("SIGINT", () => undefined);
  return new Promise((resolve) => {
    const end = (code: number): void => {
      forget();
      resolve(code);
    };
    child.once("error", (error) => {
      edge.err(`nsenter: ${error.message}\n`);
      end(1);
    });
    child.once("close", (code) => end(code ?? 1));
  });
}
