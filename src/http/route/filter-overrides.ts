// Per-filter overrides of configuration, virtual host, route and weighted cluster, resolved once per route.
import type { PerFilterConfig } from "../../envoy/route/route.ts";
import type { CompiledRoute } from "./route-table.ts";

/** Looks up the override of a filter by its name in the connection manager's configuration. */
export type FilterOverrides = CompiledRoute["filterConfig"];

/**
 * Resolves levels given from least to most specific. Whether a filter is disabled is decided by the most specific level that
 * names it; its config is the most specific one there is, so a level may enable a filter without repeating the config.
 */
export function resolveOverrides(levels: readonly PerFilterConfig[]): FilterOverrides {
  const resolved = new Map<string, NonNullable<ReturnType<FilterOverrides>>>();
  for (const level of levels) {
    for (const [name, { disabled, config }] of Object.entries(level)) {
      const before = resolved.get(name);
      const configs = config === undefined ? before?.configs : [...(before?.configs ?? []), config];
      resolved.set(name, configs === undefined ? { disabled } : { disabled, config: configs.at(-1), configs });
    }
  }
  return resolved.size === 0 ? noOverrides : (name) => resolved.get(name);
}

/** Of routes that override nothing, which can be told by it. */
export const noOverrides: FilterOverrides = () => undefined;
