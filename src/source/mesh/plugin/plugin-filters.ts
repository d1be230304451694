// The filters that WasmPlugins add to connection managers, and their places among the others: Istio's.
import { extension, type Json } from "../envoy-json.ts";
import { isForProxy, type PolicySubject } from "../istio/policy-target.ts";
import type { PluginPhase, WasmPluginSpec } from "../istio/wasm-plugin.ts";
import type { MeshView } from "../mesh-view.ts";
import type { MeshObject } from "../object/mesh-object.ts";

/** A plugin as it was written. */
export type WasmPlugin = MeshObject<WasmPluginSpec>;

/** A connection manager as plugins choose it. */
export interface PluginPlace {
  /** Requests that leave a workload or enter by a gateway are a client's. */
  readonly mode: "CLIENT" | "SERVER";
  /** Undefined where no single port is meant. */
  readonly port: number | undefined;
}

/** The plugins of one proxy in the order they run: its own namespace's before the root namespace's, larger priorities first. */
export function pluginsOf(mesh: MeshView, subject: PolicySubject): readonly WasmPlugin[] {
  return [...new Set([subject.namespace, mesh.config.rootNamespace])]
    .flatMap((namespace) =>
      mesh.wasmPlugins.filter(({ meta, spec }) => meta.namespace === namespace && isForProxy(spec.target, namespace, subject)),
    )
    .toSorted((a, b) => b.spec.priority - a.spec.priority);
}

/** The filters of one phase at one place. */
export function pluginFilters(plugins: readonly WasmPlugin[], phase: PluginPhase, place: PluginPlace): readonly Json[] {
  return plugins.flatMap(({ meta, spec }) => {
    if (spec.module === undefined || spec.phase !== phase || !matches(spec, place)) return [];
    return [
      extension(`extensions.istio.io/wasmplugin/${meta.namespace}.${meta.name}`, "isthmus.filters.http.script.v1.Script", {
        module: spec.module,
        config: spec.config,
        stat_prefix: `${meta.namespace}.${meta.name}`,
        ...(spec.failOpen ? { fail_open: true } : {}),
      }),
    ];
  });
}

function matches({ match }: WasmPluginSpec, { mode, port }: PluginPlace): boolean {
  if (match.length === 0) return true;
  return match.some(
    (selector) =>
      (selector.mode === "CLIENT_AND_SERVER" || selector.mode === mode) &&
      (selector.ports.length === 0 || (port !== undefined && selector.ports.includes(port))),
  );
}
