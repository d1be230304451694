// Per-route configuration of HTTP filters, compiled when a route is first used and kept as long as its model lives.
import type { CompiledRoute } from "./route-table.ts";

/** What has a route: a stream. */
export interface Routed {
  readonly route: CompiledRoute | undefined;
}

/**
 * Makes a lookup of the override that applies to a stream. The lookup gives undefined when its route has none; `compile` runs
 * once for each model.
 */
export function perRoute<Model extends object, T>(filterName: string, compile: (model: Model) => T): (stream: Routed) => T | undefined {
  const compiled = new WeakMap<Model, { readonly value: T }>();
  return (stream) => {
    const model = stream.route?.filterConfig(filterName)?.config as Model | undefined;
    if (model === undefined) return undefined;
    let entry = compiled.get(model);
    if (entry === undefined) {
      entry = { value: compile(model) };
      compiled.set(model, entry);
    }
    return entry.value;
  };
}
