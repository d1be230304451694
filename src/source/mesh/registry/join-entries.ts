// Several ServiceEntries of one namespace on one host speak for it together.
import { compareText, type MeshService } from "./service.ts";

/**
 * Joins the entries of a host and namespace, oldest first, among the services that one proxy may see: ports of a number once,
 * addresses and endpoints of all. An entry that disagrees with the oldest on the resolution is left out.
 */
export function joinEntries(services: readonly MeshService[]): readonly MeshService[] {
  if (services.every((service) => service.registry !== "External")) return services;
  const joined = new Map<string, MeshService>();
  let changed = false;
  for (const service of services) {
    const key = service.registry === "External" ? `${service.namespace}/${service.hostname}` : `/${joined.size}`;
    const first = joined.get(key);
    changed ||= first !== undefined;
    if (first === undefined) joined.set(key, service);
    else if (first.resolution === service.resolution) joined.set(key, join(first, service));
  }
  return changed ? [...joined.values()] : services;
}

function join(first: MeshService, later: MeshService): MeshService {
  const numbers = new Set(first.ports.map((port) => port.port));
  const addresses = new Map(first.addresses);
  for (const [cluster, more] of later.addresses) addresses.set(cluster, [...new Set([...(addresses.get(cluster) ?? []), ...more])]);
  return {
    ...first,
    definition: {},
    ports: [...first.ports, ...later.ports.filter((port) => !numbers.has(port.port))],
    addresses,
    allocated: [...new Set([...first.allocated, ...later.allocated])],
    endpoints: [...first.endpoints, ...later.endpoints],
    identities: [...new Set([...first.identities, ...later.identities])].toSorted(compareText),
  };
}
