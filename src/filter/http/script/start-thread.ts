// Starts the JavaScript thread in which a module runs (thread/main.ts), within its memory.
import { type MessagePort, Worker } from "node:worker_threads";
import type { ThreadSettings } from "./messages.ts";

const bytesPerMb = 1024 * 1024;

/** Starts a thread over a module. */
export function startThread(settings: ThreadSettings, memoryBytes: number, transferList: readonly MessagePort[] = []): Worker {
  const heapMb = Math.max(1, Math.round(memoryBytes / bytesPerMb));
  // The published package holds JavaScript, the repository TypeScript.
  const entry = new URL(import.meta.url.endsWith(".ts") ? "./thread/main.ts" : "./thread/main.js", import.meta.url);
  return new Worker(entry, {
    workerData: settings,
    transferList: [...transferList],
    name: "script",
    stdout: true,
    stderr: true,
    resourceLimits: { maxOldGenerationSizeMb: heapMb, maxYoungGenerationSizeMb: Math.min(16, heapMb), stackSizeMb: 4 },
  });
}
