// AUTO_PASSTHROUGH: a chain for every port of every service the server's hosts cover, chosen by the SNI of mesh mTLS.
import type { Json } from "../envoy-json.ts";
import { tcpProxy } from "../chain/network-filters.ts";
import { hostCovers } from "../istio/host-name.ts";
import type { NodeView } from "../node-view.ts";
import { Kept } from "../object/kept.ts";
import { clusterPorts } from "../outbound/cluster-ports.ts";
import { tcpProxyFields } from "../policy/hash-policy.ts";
import { type MeshService, sniName } from "../registry/service.ts";
import { anyMeshAlpn } from "../tls/mesh-alpn.ts";
import type { OwnServer } from "./merge-servers.ts";

const kept = new Kept<MeshService, readonly Json[]>();

/** The chains of one server. Matching a mesh ALPN as well keeps plain TLS with a forged SNI out. */
export function autoPassthroughChains(view: NodeView, own: OwnServer): readonly Json[] {
  return view.services
    .filter((service) => !service.meshExternal && exposes(own, service))
    .flatMap((service) => kept.get(service, [view.context, view.ruleOf(service)], () => chainsOf(view, service)));
}

function exposes({ server, gateway }: OwnServer, service: MeshService): boolean {
  return server.hosts.some(
    ({ namespace, host }) =>
      hostCovers(host, service.hostname) &&
      (namespace === "*" || namespace === service.namespace || (namespace === "." && gateway.meta.namespace === service.namespace)),
  );
}

function chainsOf(view: NodeView, service: MeshService): readonly Json[] {
  return [...clusterPorts(view, service)].map(({ port, subset }) => {
    const name = sniName(subset, service.hostname, port.port);
    return {
      filter_chain_match: { server_names: [name], application_protocols: anyMeshAlpn },
      filters: [tcpProxy(view.mesh.config, name, tcpProxyFields(view.ruleOf(service), subset))],
      transport_socket_connect_timeout: "15s",
    };
  });
}
