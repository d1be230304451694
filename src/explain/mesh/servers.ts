// The servers of a gateway: what they export.
import { gatewayPorts } from "../../source/mesh/gateway/ports.ts";
import type { Reason } from "../explanation.ts";
import { type MeshContext, nameOf } from "./context.ts";

/** The Gateway servers behind a port of this proxy. */
export function autoPassthroughHosts({ view, places }: MeshContext, port: number): readonly Reason[] {
  if (view.proxy.type !== "router") return [];
  const servers = gatewayPorts(view)
    .filter(({ number }) => number === port)
    .flatMap((each) => each.servers);
  if (servers.length === 0 && view.ownServers.length === 0) return [{ text: "no Gateway selects this proxy's labels" }];
  return servers.map(({ gateway, server }) => ({
    text: `${nameOf(gateway.meta)}: ${server.tlsMode === "NONE" ? server.port.protocol : server.tlsMode} for ${server.hosts.map(({ namespace, host }) => (namespace === "*" ? host : `${namespace}/${host}`)).join(", ")}`,
    place: places.of(gateway.meta),
  }));
}
