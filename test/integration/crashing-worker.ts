// The real worker, with ways to hurt it from outside: `throw` is a fault in some callback, anything else ends the thread as a
// crash of the engine or a full heap would.
import { BroadcastChannel } from "node:worker_threads";

new BroadcastChannel("crash").onmessage = ({ data }) => {
  if (data !== "throw") process.exit(1);
  setImmediate(() => {
    throw new Error("asked to throw");
  });
  void Promise.reject(new Error("asked to reject"));
};
await import("../../src/worker/main.ts");
