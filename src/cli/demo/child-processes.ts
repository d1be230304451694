// The operating-system processes of the demo: started, listened to line by line, and ended all together.
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";

/** A running process. */
export interface Child {
  readonly name: string;
  readonly pid: number;
}

/** Takes one line of a process's output. */
export type OnLine = (name: string, line: string) => void;

/** Makes of a command one that runs it in its place. */
export type Place = (command: readonly string[]) => readonly string[];

/** How long a process may take to leave after SIGTERM before it is killed: longer than a proxy's own drain on an idle system. */
const stopDeadlineMs = 3000;

/** Last lines kept of each process, for the case that it dies. */
const keptLines = 20;

/** Starts and ends processes; nothing outlives `stop`, nor the demo itself. */
export class ChildProcesses {
  readonly #onLine: OnLine;
  readonly #running = new Map<ChildProcess, string>();
  readonly #lastLines = new Map<string, string[]>();
  #stopping = false;
  #onDeath: (reason: string) => void = () => undefined;

  constructor(onLine: OnLine) {
    this.#onLine = onLine;
    process.once("exit", () => this.#signal("SIGKILL"));
  }

  /** Calls `report` when a process ends that was not told to. */
  onDeath(report: (reason: string) => void): void {
    this.#onDeath = report;
  }

  /** Starts Node with `args` as a process called `name`; `place` makes the command one that runs elsewhere. */
  start(name: string, args: readonly string[], place: Place = (command) => command): Child {
    const [file = "", ...rest] = place([process.execPath, ...args]);
    const child = spawn(file, rest, {
      stdio: ["ignore", "pipe", "pipe"],
      // A group of its own, so that Ctrl-C reaches the demo alone, which then ends the others in order.
      detached: true,
    });
    this.#running.set(child, name);
    const lines: string[] = [];
    this.#lastLines.set(name, lines);
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        if (lines.push(line) > keptLines) lines.shift();
        this.#onLine(name, line);
      });
    }
    child.once("error", (error) => this.#died(child, name, error.message));
    child.once("exit", (code, signal) => this.#died(child, name, `ended with ${signal ?? `exit code ${code}`}`));
    return { name, pid: child.pid ?? 0 };
  }

  /** The last lines that a process wrote. */
  lastLines(name: string): readonly string[] {
    return this.#lastLines.get(name) ?? [];
  }

  /** Ends every process: asks first, kills what does not leave in time. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const gone = [...this.#running.keys()].map((child) => new Promise((resolve) => child.once("close", resolve)));
    this.#signal("SIGTERM");
    const killer = setTimeout(() => this.#signal("SIGKILL"), stopDeadlineMs);
    await Promise.all(gone);
    clearTimeout(killer);
  }

  #died(child: ChildProcess, name: string, how: string): void {
    if (!this.#running.delete(child) || this.#stopping) return;
    this.#onDeath([`${name} ${how}`, ...this.lastLines(name)].join("\n  "));
  }

  #signal(signal: NodeJS.Signals): void {
    for (const child of this.#running.keys()) child.kill(signal);
  }
}
