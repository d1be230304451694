// Network gateways given by host name, which a translation takes as resolved beforehand: says which ones are not.
import { isIP } from "node:net";
import type { LocatedIssue } from "../../yaml-document.ts";
import type { MeshView } from "../mesh-view.ts";
import { gatewayHosts } from "../registry/networks.ts";

/** A warning for each host name without an address; `why` says more of it. */
export function checkGatewayNames(mesh: MeshView, networksFile: string, why: (host: string) => string): readonly LocatedIssue[] {
  const unresolved = [...gatewayHosts(mesh)].filter((host) => !mesh.gatewayAddresses.has(host));
  const message = (host: string): string => `gateway ${host} has no address: ${why(host)}`;
  return unresolved.flatMap((host): readonly LocatedIssue[] => {
    const inNetworks = [...mesh.networks]
      .filter(([, { gateways }]) => gateways.some(({ address }) => address === host && isIP(address) === 0))
      .map(([name]): LocatedIssue => {
        const at = { file: networksFile, line: 1, column: 1 };
        return { severity: "warning", ...at, path: ["networks", name, "gateways"], message: message(host) };
      });
    const services = mesh.clusters
      .flatMap((cluster) => cluster.services)
      .filter(({ spec }) => spec.loadBalancer.some(({ hostname }) => hostname === host))
      .map(({ meta }): LocatedIssue => {
        return { severity: "warning", ...meta.source, path: ["status", "loadBalancer", "ingress"], message: message(host) };
      });
    return inNetworks.length > 0 ? inNetworks : services;
  });
}

/** Why an offline translation has no address for a name. */
export const notResolvedHere = (): string =>
  "host names are not resolved here, so endpoints of its network are left out or called directly; --resolve-gateways looks them up";
