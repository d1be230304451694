// Entry of a worker thread: answers the main thread's requests with its runtime. A fault in a callback is logged and
// counted, and the thread goes on: one connection's trouble must not end the others.
import { parentPort, workerData } from "node:worker_threads";
import type { MessagePort } from "node:worker_threads";
import { createProcessLogger } from "../telemetry/pino-logger.ts";
import { StatsSlab } from "../telemetry/stats-slab.ts";
import type { RequestName, Requests, ToMain, ToWorker, WorkerSettings } from "./messages.ts";
import { takePriority } from "./priority.ts";
import { createWorkerRuntime } from "./runtime.ts";

function start(port: MessagePort, settings: WorkerSettings): void {
  const post = (message: ToMain): void => port.postMessage(message);
  const log = createProcessLogger({ level: settings.logLevel, style: settings.logStyle, fields: { worker: settings.id } });
  const slab = new StatsSlab((announcement) => post({ kind: "stats", announcement }));
  const faults = slab.root.counter("server.uncaught_exceptions");
  const onFault = (thrown: unknown): void => {
    faults.inc();
    log.error("uncaught exception", { stack: thrown instanceof Error ? thrown.stack : String(thrown) });
  };
  process.on("uncaughtException", onFault);
  process.on("unhandledRejection", onFault);
  if (!takePriority(settings.priority)) log.debug("this thread has the priority of the main thread: more takes CAP_SYS_NICE");
  const runtime = createWorkerRuntime(settings, slab.root, log);

  const handlers: { readonly [K in RequestName]: (ask: Requests[K]["ask"]) => Requests[K]["reply"] | Promise<Requests[K]["reply"]> } = {
    apply: async (update) => {
      const outcome = await runtime.apply(update);
      // Names first, so that whoever saw the publish succeed can read its stats.
      slab.flush();
      return outcome;
    },
    clusters: () => runtime.clusters(),
    listeners: () => runtime.listeners(),
    stopAccepting: ({ direction }) => runtime.stopAccepting(direction),
    stop: async () => {
      await runtime.stop();
      slab.flush();
      log.flush();
      return undefined;
    },
  };
  const answer = async <K extends RequestName>(id: number, name: K, ask: Requests[K]["ask"]): Promise<void> => {
    try {
      post({ kind: "reply", id, ok: true, value: await handlers[name](ask) });
    } catch (thrown) {
      onFault(thrown);
      post({ kind: "reply", id, ok: false, message: thrown instanceof Error ? thrown.message : String(thrown) });
    }
  };

  port.on("message", (message: ToWorker) => {
    switch (message.kind) {
      case "applyAhead":
        runtime.applyAhead(message.update);
        break;
      case "request":
        void answer(message.id, message.name, message.ask as never);
        break;
      case "drain":
        runtime.drain();
        break;
      case "failHealthChecks":
        runtime.failHealthChecks(message.failing);
        break;
      case "setNodeCluster":
        runtime.setNodeCluster(message.cluster);
        break;
      case "setLogLevel":
        log.setLevel(message.level);
        break;
      case "setIstioMetrics":
        runtime.setIstioMetrics(message.settings);
        break;
      case "reopenLogs":
        runtime.reopenLogs();
        break;
    }
  });
}

if (parentPort) start(parentPort, workerData as WorkerSettings);
