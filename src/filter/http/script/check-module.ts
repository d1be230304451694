// Whether a module loads, for configuration checks: it is loaded as a worker would load it, in a thread that ends after that.
import { statSync } from "node:fs";
import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
import { createSharedBoard, type FromThread } from "./messages.ts";
import { startThread } from "./start-thread.ts";

/** How long loading may take. */
const deadlineMs = 5_000;
/** More than most filters are given: what a module needs to load is no matter of this check. */
const memoryBytes = 256 * 1024 * 1024;

interface Checked {
  readonly print: string;
  readonly problem: string | undefined;
}

const known = new Map<string, Checked>();

/** Why a module does not load, undefined when it does. Blocks while it loads, once for each version of its file. */
export function checkModule(path: string): string | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return `${path}: there is no such file`;
  const print = `${stats.size} ${stats.mtimeMs} ${stats.ino}`;
  const before = known.get(path);
  // What is broken may be so for something that it imports.
  if (before?.print === print && before.problem === undefined) return undefined;
  const problem = load(path);
  known.set(path, { print, problem });
  return problem;
}

function load(path: string): string | undefined {
  const { port1, port2 } = new MessageChannel();
  const shared = createSharedBoard();
  const signal = new Int32Array(new SharedArrayBuffer(4));
  const thread = startThread({ module: path, shared, check: { port: port2, signal } }, memoryBytes, [port2]);
  // Whatever ends it before it has answered is a timeout here.
  thread.on("error", () => undefined);
  thread.unref();
  Atomics.wait(signal, 0, 0, deadlineMs);
  const answer = receiveMessageOnPort(port1) as { readonly message: FromThread } | undefined;
  port1.close();
  void thread.terminate();
  if (answer === undefined) return `${path}: does not load within ${deadlineMs / 1000} s`;
  return answer.message.kind === "unloadable" ? answer.message.message : undefined;
}
