// MeshConfig.discoverySelectors: of a cluster only the objects in namespaces with the labels are part of the mesh.
import type { MeshConfig } from "../mesh-config.ts";
import { selectsLabels } from "../object/label-selector.ts";
import type { KnownObject } from "./kinds.ts";

/** Tells whether an object of one cluster is discovered. */
export type DiscoveryTest = (known: KnownObject) => boolean;

/**
 * Compiles the selectors for the cluster with these namespaces. One that nobody has described is not selected, and the root
 * namespace is no exception.
 */
export function compileDiscovery(config: MeshConfig, namespaces: readonly KnownObject[]): DiscoveryTest {
  const { discoverySelectors } = config;
  if (discoverySelectors.length === 0) return () => true;
  const selected = new Set<string>();
  for (const { kind, object } of namespaces) {
    if (kind !== "Namespace") continue;
    if (discoverySelectors.some((selector) => selectsLabels(selector, object.meta.labels))) selected.add(object.meta.name);
  }
  return ({ object }) => object.meta.namespace === "" || selected.has(object.meta.namespace);
}
