// Runs one test file in a process group of its own, which is gone when the file is done or its time is over.
import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

const reporter = fileURLToPath(new URL("test-counts.mjs", import.meta.url));
/** Lines of the readable reporter that repeat what the runner adds up. */
const summary = /^ℹ (?:tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) .*\n/gmu;
/** How long what the file has started may hold its output open once the file itself has ended. */
const outputMs = 1_000;
/** Parts in which a limit is waited for. */
const ticks = 20;
/** Groups that run now: they outlive the runner unless it ends them. */
const running = new Set<ChildProcess>();

/** Ends all files that run now. */
export function endAll(): void {
  for (const child of running) kill(child);
}

/** How a file is run. */
export interface FileOptions {
  /** The program of Node. */
  readonly node: string;
  /** For all of the file. */
  readonly limitMs: number;
  /** For its end after its last test. */
  readonly lingerMs: number;
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
}

/** What became of a file. */
export interface FileResult {
  readonly output: string;
  /** By node:test's names; none when the file had to be ended. */
  readonly counts: Readonly<Record<string, number>>;
  /** What went wrong beside its tests, with those that had failed by then. */
  readonly fault: string | undefined;
}

/** What the reporter tells. */
interface Told {
  readonly failed?: string;
  readonly message?: string;
  /** No test is left to run. */
  readonly over?: boolean;
  readonly counts?: Readonly<Record<string, number>>;
}

/** Runs a file; never rejects. */
export function runFile(file: string, { node, limitMs, lingerMs, cwd, env }: FileOptions): Promise<FileResult> {
  return new Promise((resolve) => {
    const reporters = ["spec", reporter].flatMap((name) => ["--test-reporter", name, "--test-reporter-destination", "stdout"]);
    const child = spawn(node, [...reporters, file], { cwd, env, detached: true, stdio: ["ignore", "pipe", "pipe", "pipe"] });
    running.add(child);
    const [stdout, stderr, told] = child.stdio.slice(1) as [Readable, Readable, Readable];
    const failures: string[] = [];
    let output = "";
    let counts: Told["counts"];
    let fault: string | undefined;
    const end = (why: string): void => {
      fault ??= [why, ...failures].join("\n  ✖ ");
      kill(child);
    };
    const deadline = after(limitMs, () => end(`still running after ${limitMs / 1000} s`));
    let lingering: NodeJS.Timeout | undefined;
    for (const stream of [stdout, stderr]) stream.setEncoding("utf8").on("data", (text: string) => (output += text));
    onLines(told, (line) => {
      const { failed, message, over, counts: own } = JSON.parse(line) as Told;
      counts ??= own;
      if (failed !== undefined) failures.push(`${failed}: ${message}`);
      if (over === undefined) return;
      clearInterval(lingering);
      if (over) lingering = after(lingerMs, () => end("its tests are over, but something they left open keeps it running"));
    });
    const finish = (): void => {
      if (!running.delete(child)) return;
      clearInterval(deadline);
      clearInterval(lingering);
      kill(child);
      for (const stream of [stdout, stderr, told]) stream.destroy();
      const { failed = 0, cancelled = 0 } = counts ?? {};
      if (failed + cancelled === 0 && child.exitCode !== 0) fault ??= `ended with ${child.signalCode ?? `exit code ${child.exitCode}`}`;
      if (counts === undefined) fault ??= "ended without a summary";
      resolve({ output: output.replace(summary, ""), counts: counts ?? {}, fault });
    };
    child.once("error", (error) => {
      fault ??= error.message;
      finish();
    });
    child.once("exit", () => setTimeout(finish, outputMs));
    child.once("close", finish);
  });
}

// In ticks: time in which the machine, and so the file, stood still does not count.
function after(ms: number, fire: () => void): NodeJS.Timeout {
  let left = ticks;
  const timer = setInterval(() => {
    if (--left > 0) return;
    clearInterval(timer);
    fire();
  }, ms / ticks);
  return timer;
}

function onLines(stream: Readable, onLine: (line: string) => void): void {
  let rest = "";
  stream.setEncoding("utf8").on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  });
}

function kill({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    // The whole group has gone by itself.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
