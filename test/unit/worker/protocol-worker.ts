// A worker thread that speaks the protocol without a data path: what the pool's tests run in place of worker/main.
// A listener named `crash` ends the thread, `hang` never answers, `fail` is reported as failed, `odd` fails the request.
import { parentPort, workerData } from "node:worker_threads";
import { StatsSlab } from "../../../src/telemetry/stats-slab.ts";
import type { ListenerView } from "../../../src/telemetry/views.ts";
import type { ClusterDescription } from "../../../src/upstream/cluster-description.ts";
import type { ToMain, ToWorker, WorkerSettings } from "../../../src/worker/messages.ts";

const settings = workerData as WorkerSettings;
const post = (message: ToMain): void => parentPort?.postMessage(message);
const slab = new StatsSlab((announcement) => post({ kind: "stats", announcement }));
const listeners = new Map<string, ListenerView>();

parentPort?.on("message", (message: ToWorker) => {
  if (message.kind !== "request") {
    slab.root.counter(`heard.${message.kind}`).inc();
    if (message.kind === "applyAhead") for (const _ of message.update.clusters.set) slab.root.counter("clusters_ahead").inc();
    return;
  }
  const { id } = message;
  switch (message.name) {
    case "apply": {
      const { set, removed } = message.ask.listeners;
      slab.root.counter("applied").inc();
      slab.root.gauge("listener.x.downstream_cx_active").set(1);
      slab.flush();
      if (set.some(({ name }) => name === "crash")) throw new Error("asked to crash");
      if (set.some(({ name }) => name === "hang")) return;
      if (set.some(({ name }) => name === "odd")) return post({ kind: "reply", id, ok: false, message: "odd" });
      for (const name of removed) listeners.delete(name);
      for (const { name, value } of set) {
        // Worker 0 stands for the kernel: port 0 becomes 40000.
        const addresses = value.addresses.map(({ address, port }) => ({ address, port: port === 0 && settings.id === 0 ? 40_000 : port }));
        listeners.set(name, { name, addresses });
      }
      const failures = set.filter(({ name }) => name === "fail").map(({ name }) => ({ name, message: "failed" }));
      return post({ kind: "reply", id, ok: true, value: { failures, listeners: [...listeners.values()] } });
    }
    case "listeners":
      return post({ kind: "reply", id, ok: true, value: [...listeners.values()] });
    case "clusters":
      return post({ kind: "reply", id, ok: true, value: [clusterView()] });
    default:
      return post({ kind: "reply", id, ok: true, value: undefined });
  }
});

function clusterView(): ClusterDescription {
  const thresholds = { maxConnections: 1, maxPendingRequests: 1, maxRequests: 1, maxRetries: 1 };
  const unused = { connections: 0, pendingRequests: 0, requests: 0, retries: 0 };
  const counts = { cxTotal: 1, cxActive: 1, cxConnectFail: 0, rqActive: settings.id + 1 };
  const hostname = `worker ${settings.id} of ${[...listeners.values()].map(({ addresses }) => addresses[0]?.port).join()}`;
  const host = {
    address: "10.0.0.1:1",
    hostname,
    health: "healthy" as const,
    failedOutlierCheck: false,
    pendingRemoval: false,
    weight: 1,
    priority: 0,
    locality: { region: "", zone: "", subZone: "" },
    ...counts,
    tls: false,
  };
  return {
    name: "c",
    type: "STATIC",
    edsServiceName: "",
    lbPolicy: "RANDOM",
    circuitBreakers: { default: thresholds, high: thresholds },
    resources: { default: unused, high: unused },
    hosts: [host],
  };
}
