// What the process lacks for the sockets that its listeners ask for, said once before any of them fails for it.
import { readFileSync } from "node:fs";
import type { Listener } from "../envoy/listener/listener.ts";
import { loadLibc } from "../net/native.ts";

/** What the process may do. */
export interface Rights {
  readonly effectiveUid: number;
  /** CAP_NET_ADMIN; undefined where that cannot be read. */
  readonly netAdmin: boolean | undefined;
  /** libc can be called, which takes Linux and the package koffi. */
  readonly libc: boolean;
}

/** Istio's user of the proxy. */
const proxyUid = 1337;
// Bit in CapEff.
const capNetAdmin = 12n;
const originalSrc = "envoy.filters.listener.original_src";

/** What this process may do. */
export function processRights(): Rights {
  return { effectiveUid: process.geteuid?.() ?? 0, netAdmin: netAdmin(), libc: loadLibc() !== undefined };
}

function netAdmin(): boolean | undefined {
  try {
    const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
    return mask === undefined ? undefined : ((BigInt(`0x${mask}`) >> capNetAdmin) & 1n) === 1n;
  } catch {
    // Not Linux, or no /proc: binding will tell.
    return undefined;
  }
}

/** One sentence for the person who runs the proxy; undefined when nothing is missing. */
export function missingRights(
  listeners: readonly Pick<Listener, "transparent" | "bindToPort" | "listenerFilters">[],
  rights: Rights,
): string | undefined {
  const transparent = listeners.some((listener) => listener.transparent && listener.bindToPort);
  const keepsSource = listeners.some(({ listenerFilters }) => listenerFilters.some(({ extension }) => extension === originalSrc));
  if (!transparent && !keepsSource) return undefined;
  const missing = [
    ...(rights.libc ? [] : ["the package koffi on Linux, through which socket options are set (npm install koffi)"]),
    ...(rights.netAdmin === false ? ["the capability CAP_NET_ADMIN (NET_ADMIN among the container's capabilities)"] : []),
    // The rules tell the proxy's call to its application from a call to a service of its own pod by the user alone.
    ...(keepsSource && rights.effectiveUid === proxyUid
      ? [
          `another user than ${proxyUid}, whose calls to the pod's own address the packet rules lead back to the proxy (root with group 1337)`,
        ]
      : []),
  ];
  if (missing.length === 0) return undefined;
  const what = keepsSource ? "listeners that keep their clients' addresses" : "transparent listeners";
  return `${what} (interception mode TPROXY) need ${missing.join(", and ")}; interception mode REDIRECT needs none of it`;
}
