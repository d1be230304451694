// Istio's host names: short names relative to a namespace, and wildcards.

/** The full name of a host as written in a resource of `namespace`: a name without dots is a service there. */
export function resolveHost(host: string, namespace: string): string {
  return host.includes(".") || host === "*" ? host : `${host}.${namespace}.svc.cluster.local`;
}

/** True when a host, possibly a wildcard, covers a name (which may be a wildcard of its own). */
export function hostCovers(host: string, name: string): boolean {
  if (host === "*" || host === name) return true;
  return host.startsWith("*") && name.replace(/^\*/, "").endsWith(host.slice(1)) && name.length >= host.length;
}

/** Orders hosts so that the most specific comes first: exact before wildcard, then longer before shorter. */
export function bySpecificity(a: string, b: string): number {
  const [wildA, wildB] = [a.startsWith("*"), b.startsWith("*")];
  if (wildA !== wildB) return wildA ? 1 : -1;
  return b.length - a.length || (a < b ? -1 : a > b ? 1 : 0);
}
