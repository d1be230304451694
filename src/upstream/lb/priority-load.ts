// How load spreads over priorities: Envoy's arithmetic in whole percents. A priority is full while its healthy share times
// the overprovisioning factor reaches 100; what it cannot take spills to the next, healthy hosts before degraded ones.

/** Hosts of one priority, counted. */
export interface PriorityHealth {
  readonly total: number;
  readonly healthy: number;
  readonly degraded: number;
}

/** Percent of the load for each priority; the two lists add up to 100. `panic`: health is ignored within that priority. */
export interface PriorityLoad {
  readonly healthy: readonly number[];
  readonly degraded: readonly number[];
  readonly panic: readonly boolean[];
}

/**
 * Spreads the load.
 * @param overprovisioningFactor percent; Envoy's default 140
 * @param panicThreshold percent of available hosts below which a priority panics; Envoy's default 50, 0 = never
 */
export function spreadLoad(priorities: readonly PriorityHealth[], overprovisioningFactor: number, panicThreshold: number): PriorityLoad {
  const capacity = (hosts: number, total: number): number =>
    total === 0 ? 0 : Math.min(100, Math.floor((overprovisioningFactor * hosts) / total));
  const healthy = priorities.map((p) => capacity(p.healthy, p.total));
  const degraded = priorities.map((p) => capacity(p.degraded, p.total));
  const available = Math.min(100, sum(healthy) + sum(degraded));
  const panics = (p: PriorityHealth): boolean => (p.total === 0 ? 0 : (100 * (p.healthy + p.degraded)) / p.total) < panicThreshold;
  // With the whole load covered nobody panics, however poor a single priority is.
  const panic = priorities.map((p) => available < 100 && panics(p));
  if (panic.length > 0 && panic.every(Boolean)) return inTotalPanic(priorities, panic);
  if (available === 0) return { healthy: priorities.map((_, i) => (i === 0 ? 100 : 0)), degraded: priorities.map(() => 0), panic };

  let left = 100;
  const take = (share: number): number => {
    const taken = Math.min(left, Math.floor((share * 100) / available));
    left -= taken;
    return taken;
  };
  const healthyLoad = healthy.map(take);
  const degradedLoad = degraded.map(take);
  // What rounding left over goes to the first priority that can take any.
  const firstHealthy = healthyLoad.findIndex((load) => load > 0);
  const remainder = firstHealthy >= 0 ? healthyLoad : degradedLoad;
  const at = firstHealthy >= 0 ? firstHealthy : degradedLoad.findIndex((load) => load > 0);
  if (left > 0 && at >= 0) remainder[at] = (remainder[at] ?? 0) + left;
  return { healthy: healthyLoad, degraded: degradedLoad, panic };
}

// No priority is fit: load goes by the number of hosts alone.
function inTotalPanic(priorities: readonly PriorityHealth[], panic: readonly boolean[]): PriorityLoad {
  const total = priorities.reduce((n, p) => n + p.total, 0);
  const healthy = priorities.map((p) => (total === 0 ? 0 : Math.floor((100 * p.total) / total)));
  const first = Math.max(
    0,
    priorities.findIndex((p) => p.total > 0),
  );
  healthy[first] = (healthy[first] ?? 0) + 100 - sum(healthy);
  return { healthy, degraded: priorities.map(() => 0), panic };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, n) => total + n, 0);
}
