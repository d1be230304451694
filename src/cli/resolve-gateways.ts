// Host names of network gateways in commands that run once: looked up when asked to, otherwise named in a warning.
import { join } from "node:path";
import { systemClock } from "../clock.ts";
import { GatewayAddresses } from "../proxy/gateway-addresses.ts";
import { checkGatewayNames, notResolvedHere } from "../source/mesh/directory/check-gateway-names.ts";
import { checkJwks, notFetchedHere } from "../source/mesh/directory/check-jwks.ts";
import type { MeshView } from "../source/mesh/mesh-view.ts";
import { gatewayHosts } from "../source/mesh/registry/networks.ts";
import type { LocatedIssue } from "../source/yaml-document.ts";
import { createSystemLookup, type HostLookup } from "../upstream/discovery/host-lookup.ts";

/** The option, the same for every command. */
export const resolveGatewaysOption = [
  "--resolve-gateways",
  "look up the host names of network gateways, as `run` does (default: warn about them)",
] as const;

/** A mesh with what its gateways' names resolved to, and a warning for each name without an address and each key set to fetch. */
export interface ResolvedMesh {
  readonly mesh: MeshView;
  readonly issues: readonly LocatedIssue[];
}

/** Resolves the names, or says that they are not. */
export async function resolveGateways(
  mesh: MeshView,
  folder: string,
  wanted: boolean,
  lookup: HostLookup = createSystemLookup(),
): Promise<ResolvedMesh> {
  const networksFile = join(folder, "networks.yaml");
  const unfetched = checkJwks(mesh, notFetchedHere);
  if (!wanted) return { mesh, issues: [...checkGatewayNames(mesh, networksFile, notResolvedHere), ...unfetched] };
  const gateways = new GatewayAddresses({ lookup, clock: systemClock, onChange: () => undefined });
  const { addresses, failures } = await gateways.resolve(gatewayHosts(mesh));
  gateways.close();
  const resolved = { ...mesh, gatewayAddresses: addresses };
  const unresolved = checkGatewayNames(resolved, networksFile, (host) => failures.get(host) ?? "it is not known");
  return { mesh: resolved, issues: [...unresolved, ...unfetched] };
}
