// Slow start: a host that has just come into use gets a share of its weight that grows to all of it within a window.
import type { SlowStart } from "../../envoy/cluster/cluster.ts";
import type { Candidate } from "./host-picker.ts";

/** The share of its weight that a host has now; 1 past the window. */
export function slowStartFactor({ windowMs, aggression, minWeightPercent }: SlowStart, host: Candidate, nowMs: number): number {
  const usedMs = nowMs - (host.inUseSinceMs ?? -Infinity);
  if (usedMs >= windowMs) return 1;
  const time = Math.max(usedMs, 1) / windowMs;
  return Math.max(aggression === 1 ? time : time ** (1 / aggression), minWeightPercent / 100);
}

/** Milliseconds until the last of the hosts is through; 0 when all are. */
export function slowStartLeftMs({ windowMs }: SlowStart, hosts: readonly Candidate[], nowMs: number): number {
  return Math.max(0, ...hosts.map((host) => (host.inUseSinceMs ?? -Infinity) + windowMs - nowMs));
}
