// The scripts of one worker: filters of the same module and limits share a host, so that a mesh's listeners need one thread together.
import type { ScriptConfig } from "../../../envoy/http-filter/script.ts";
import type { FilterDeps } from "../../filter.ts";
import { ScriptHost } from "./script-host.ts";

/** A host for as long as it is needed. */
export interface HostLease {
  readonly host: ScriptHost;
  /** The last one to let go ends the threads. Idempotent. */
  release(): void;
}

interface Shared {
  readonly host: ScriptHost;
  leases: number;
}

// What is made once per worker stands for it.
const workers = new WeakMap<FilterDeps["clusters"], Map<string, Shared>>();

/** The host of a script. */
export function leaseHost({ module, timeoutMs, memoryBytes }: ScriptConfig, deps: FilterDeps): HostLease {
  let hosts = workers.get(deps.clusters);
  if (hosts === undefined) workers.set(deps.clusters, (hosts = new Map()));
  const own = hosts;
  const key = `${timeoutMs} ${memoryBytes} ${module}`;
  let shared = own.get(key);
  if (shared === undefined) {
    const { clock, logger, stats, quiet = false } = deps;
    shared = { host: new ScriptHost({ module, timeoutMs, memoryBytes }, { clock, logger, stats, quiet }), leases: 0 };
    own.set(key, shared);
  }
  shared.leases++;
  const lease = shared;
  let held = true;
  return {
    host: lease.host,
    release: () => {
      if (!held) return;
      held = false;
      lease.leases--;
      if (lease.leases > 0) return;
      lease.host.close();
      own.delete(key);
    },
  };
}
