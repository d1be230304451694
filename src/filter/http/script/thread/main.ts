// Entry of a script's thread: loads the user's module and runs its hooks, one message a run. It is ended from outside when it takes
// too long or too much, so nothing here watches over itself.
import { registerHooks } from "node:module";
import { parentPort, workerData } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { FilterModule } from "../filter-api.ts";
import {
  begunSlot,
  type FromThread,
  type Hook,
  hookNames,
  maxUnderWay,
  readBoard,
  runningSlot,
  sharedNowMs,
  type Sources,
  type ThreadSettings,
  type ToThread,
} from "../messages.ts";
import { describeThrown } from "./error-place.ts";
import { runHook } from "./exchange.ts";

async function start(port: MessagePort, { module: file, shared, check, sources: given }: ThreadSettings): Promise<void> {
  const post = (message: FromThread): void => {
    // Whoever checks a module waits for one answer, its thread standing still.
    if (check !== undefined && message.kind === "stray") return;
    (check?.port ?? port).postMessage(message);
    if (check === undefined) return;
    Atomics.store(check.signal, 0, 1);
    Atomics.notify(check.signal, 0);
  };
  const { numbers, starts } = readBoard(shared);
  const files = new Set([file]);
  const sources = new Map<string, { format: string; source: string }>(given);
  followImports(files, sources, given);
  // Set before the module is loaded: what it starts by itself must not end the thread, and with it requests that are under way.
  const onStray = (thrown: unknown): void => post({ kind: "stray", message: describeThrown(thrown, file) });
  process.on("uncaughtException", onStray);
  process.on("unhandledRejection", onStray);
  let module: FilterModule & Readonly<Record<string, unknown>>;
  try {
    module = (await import(pathToFileURL(file).href)) as typeof module;
  } catch (thrown) {
    post({ kind: "unloadable", message: describeThrown(thrown, file), files: [...files] });
    return;
  }
  const problem = problemOf(module);
  if (problem !== undefined) return post({ kind: "unloadable", message: `${file}:1: ${problem}`, files: [...files] });
  const hooks = hookNames.filter((name) => module[name] !== undefined);
  post({ kind: "loaded", hooks, files: [...files], sources });
  if (check) return;

  const configs = new Map<number, Readonly<Record<string, unknown>>>();
  const run = async ({ id, invocation }: Extract<ToThread, { kind: "run" }>): Promise<void> => {
    starts[id % maxUnderWay] = sharedNowMs();
    Atomics.store(numbers, begunSlot, id);
    Atomics.store(numbers, runningSlot, id);
    const interrupted = (): void => void Atomics.store(numbers, runningSlot, 0);
    try {
      post({ kind: "done", id, result: await runHook(module, invocation, configs.get(invocation.config) ?? {}, interrupted) });
    } catch (thrown) {
      post({ kind: "threw", id, message: describeThrown(thrown, file) });
    }
  };
  port.on("message", (message: ToThread) => {
    if (message.kind === "run") void run(message);
    else if (message.kind === "configure") configs.set(message.config, freeze(message.value));
    else post({ kind: "pong" });
  });
}

/**
 * Notes every file that is imported, whether it is there or not: its change is one of the module.
 * @param given sources to take instead of what the files hold
 */
function followImports(files: Set<string>, sources: Map<string, { format: string; source: string }>, given: Sources | undefined): void {
  const own = new URL(`../filter-api.${import.meta.url.endsWith(".ts") ? "ts" : "js"}`, import.meta.url).href;
  registerHooks({
    resolve: (specifier, context, next) => {
      if (specifier === "isthmus/filter-api") return { url: own, shortCircuit: true };
      const url = fileUrlOf(specifier, context.parentURL);
      if (url !== undefined && given?.has(url)) return { url, format: given.get(url)!.format, shortCircuit: true };
      if (url !== undefined) files.add(fileURLToPath(url));
      return next(specifier, context);
    },
    load: (url, context, next) => {
      const loaded = given?.get(url);
      if (loaded !== undefined) return { ...loaded, shortCircuit: true };
      const result = next(url, context);
      if (url.startsWith("file:") && url !== own && !url.includes("/node_modules/")) {
        files.add(fileURLToPath(url));
        const source = result.source === undefined || result.source === null ? undefined : textOf(result.source);
        if (source !== undefined && typeof result.format === "string") sources.set(url, { format: result.format, source });
      }
      return result;
    },
  });
}

function fileUrlOf(specifier: string, parent: string | undefined): string | undefined {
  if (specifier.startsWith("file:")) return specifier;
  return /^\.{1,2}\//.test(specifier) && parent?.startsWith("file:") ? new URL(specifier, parent).href : undefined;
}

function textOf(source: string | ArrayBuffer | NodeJS.TypedArray): string {
  if (typeof source === "string") return source;
  return (source instanceof ArrayBuffer ? Buffer.from(source) : Buffer.from(source.buffer, source.byteOffset, source.byteLength)).toString(
    "utf8",
  );
}

function problemOf(module: Readonly<Record<string, unknown>>): string | undefined {
  const none = hookNames.every((name) => module[name] === undefined);
  if (none) return `exports none of ${hookNames.join(", ")}`;
  const wrong = hookNames.find((name: Hook) => module[name] !== undefined && typeof module[name] !== "function");
  return wrong && `${wrong} is no function`;
}

/** One request must not change what the next one is configured with. */
function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null) {
    for (const each of Object.values(value)) freeze(each);
    Object.freeze(value);
  }
  return value;
}

if (parentPort) void start(parentPort, workerData as ThreadSettings);
