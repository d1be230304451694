// The hosts that a Gateway's server and a VirtualService bound to it have in common.
import { hostCovers } from "../istio/host-name.ts";
import type { VirtualService } from "../istio/virtual-services.ts";
import type { OwnServer } from "./merge-servers.ts";

/** The more specific of every pair of hosts of which one covers the other, where the server admits the VirtualService's namespace. */
export function sharedHosts({ gateway, server }: OwnServer, { meta, spec }: VirtualService): readonly string[] {
  const shared = new Set<string>();
  for (const { namespace, host } of server.hosts) {
    const admitted = namespace === "*" || namespace === meta.namespace || (namespace === "." && gateway.meta.namespace === meta.namespace);
    if (!admitted) continue;
    const offered = host.toLowerCase();
    for (const wanted of spec.hosts) {
      if (hostCovers(wanted, offered)) shared.add(offered);
      else if (hostCovers(offered, wanted)) shared.add(wanted);
    }
  }
  return [...shared];
}
