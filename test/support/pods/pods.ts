// Programs in the pods of a laid-out network: started, asked and waited for. For scripts inside their own namespaces, which take
// every process with them when they end.
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { inPod, layOut, type PodPlace, type PodRole } from "../../../src/cli/demo/pod-network.ts";

/** What a program that ended had to say. */
export interface Said {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
  readonly ms: number;
}

/** A program that goes on. */
export interface Running {
  readonly child: ChildProcess;
  /** Everything it has written so far. */
  output(): string;
}

const main = fileURLToPath(new URL("../../../src/main.ts", import.meta.url));
const limitMs = 60_000;

/** Runs a program of this machine to its end. */
export function say(command: readonly string[], input = "", timeout = limitMs): Promise<Said> {
  const [file = "", ...args] = command;
  const startedMs = performance.now();
  const child = spawn(file, args, { stdio: ["pipe", "pipe", "pipe"], timeout, killSignal: "SIGKILL" });
  let out = "";
  let err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  child.stdin.on("error", () => undefined); // it may end without having read
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, out, err, ms: performance.now() - startedMs }));
  });
}

/** Runs a program to its end, which has to be a good one. */
export async function must(command: readonly string[], input = ""): Promise<string> {
  const said = await say(command, input);
  if (said.code !== 0) throw new Error(`${command.join(" ")}: code ${said.code}: ${said.err}${said.out}`);
  return said.out;
}

/** Lays the network out around this process. */
export async function layOutPods(pods: readonly PodPlace[]): Promise<void> {
  await must(["sh", "-e"], layOut(pods));
}

/** Runs a program in a pod as its application. */
export function ask(pod: string, ...command: readonly string[]): Promise<Said> {
  return say(inPod(pod, "application", command));
}

/** Starts a program in a pod. */
export function start(pod: string, role: PodRole, command: readonly string[]): Running {
  const [file = "", ...args] = inPod(pod, role, command);
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  return { child, output: () => output };
}

/** Starts a TypeScript module in a pod and waits for its line `ready`. */
export async function startModule(pod: string, file: string, ...args: readonly string[]): Promise<Running> {
  const running = start(pod, "application", [process.execPath, file, ...args]);
  await wait(`${file} is ready`, async () => running.output().includes("ready"), running);
  return running;
}

/** Starts isthmus in a pod, by default as the user 1337 without any capability, and waits until it serves. */
export async function startProxy(pod: string, args: readonly string[], role: PodRole = "proxy-user"): Promise<Running> {
  const running = start(pod, role, [process.execPath, main, "run", "--concurrency", "1", "--drain-time-s", "0", ...args]);
  await wait(
    `the proxy of ${pod} is ready`,
    async () => (await ask(pod, "curl", "-sf", "-m", "2", "http://127.0.0.1:15000/ready")).code === 0,
    running,
  );
  return running;
}

/** `isthmus` with these arguments, run to its end in a pod. */
export async function isthmus(pod: string, ...args: readonly string[]): Promise<string> {
  return must(inPod(pod, "application", [process.execPath, main, ...args]));
}

/** Waits until `condition` holds; says what `running` wrote when it does not come to that. */
export async function wait(what: string, condition: () => Promise<boolean>, running?: Running): Promise<void> {
  const startedMs = performance.now();
  while (!(await condition())) {
    const gone = running !== undefined && running.child.exitCode !== null;
    if (gone || performance.now() - startedMs > limitMs) throw new Error(`not so: ${what}\n${running?.output() ?? ""}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
