// exportTo: which namespaces an object is for.

/** How an object reaches a namespace: kept to it, exported to it by name, or public; in the order Istio looks at them. */
export type ExportRank = 0 | 1 | 2;

/**
 * Ranks an object of namespace `owner` for a client in `namespace`; undefined when it is not for it. `defaults` stands for
 * an empty exportTo. `*` outweighs every other target, and `~` (nobody) every other but that.
 */
export function exportRank(
  exportTo: readonly string[],
  defaults: readonly string[],
  owner: string,
  namespace: string,
): ExportRank | undefined {
  const targets = exportTo.length === 0 ? defaults : exportTo;
  if (targets.includes("*")) return 2;
  if (targets.includes("~")) return undefined;
  if (owner === namespace) return targets.includes(".") || targets.includes(owner) ? 0 : undefined;
  return targets.includes(namespace) ? 1 : undefined;
}
