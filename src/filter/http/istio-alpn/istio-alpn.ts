// istio.alpn: offers Istio's ALPN names to the upstream instead of the cluster's own, by the protocol that the upstream speaks,
// so that the server side can tell mesh traffic.
import type { Cluster } from "../../../envoy/cluster/cluster.ts";
import type { IstioAlpnConfig } from "../../../envoy/http-filter/istio-alpn.ts";
import type { HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../http/filter.ts";

/** The ALPN filter. */
export const istioAlpn: HttpFilterSpec = {
  extension: "istio.alpn",
  create: (config, context) => createIstioAlpn(config as IstioAlpnConfig, context),
};

type Protocol = IstioAlpnConfig["overrides"][number]["upstreamProtocol"];

/** The protocols to offer in place of a cluster's own, with the key by which pools tell them from others. */
export interface AlpnOffer {
  readonly protocols: readonly string[];
  readonly key: string;
}

function createIstioAlpn(config: IstioAlpnConfig, context: HttpFilterContext): HttpFilter | undefined {
  const offerTo = compileAlpnOffers(config);
  if (offerTo === undefined) return undefined;
  return {
    onRequestHeaders: (stream) => {
      const action = stream.route?.action;
      if (action?.kind !== "route") return "continue";
      // Of weighted clusters the first stands for all: they are subsets of one service and speak one protocol.
      const cluster = context.clusters.get(action.pickCluster(stream, 0).name);
      if (cluster === undefined) return "continue";
      const offer = offerTo(cluster.model, stream.info.protocol);
      if (offer !== undefined) {
        stream.upstreamAlpn = offer.protocols;
        stream.upstreamAlpnKey = offer.key;
      }
      return "continue";
    },
  };
}

/**
 * What is offered to a cluster for a request that came in as `protocol` (`HTTP/1.1`); undefined: the cluster's own list stands.
 * Undefined as a whole when the filter has nothing to offer.
 */
export function compileAlpnOffers(config: IstioAlpnConfig): ((cluster: Cluster, protocol: string) => AlpnOffer | undefined) | undefined {
  const offers = new Map<Protocol, AlpnOffer>();
  for (const { upstreamProtocol, alpnOverride } of config.overrides) {
    if (alpnOverride.length > 0) offers.set(upstreamProtocol, { protocols: alpnOverride, key: alpnOverride.join(",") });
  }
  if (offers.size === 0) return undefined;
  return (cluster, protocol) => (optsOut(cluster) ? undefined : offers.get(upstreamProtocol(cluster, protocol)));
}

// istiod marks clusters whose TLS settings are the user's own.
function optsOut(cluster: Cluster): boolean {
  return cluster.metadata["istio"]?.["alpn_override"] === "false";
}

function upstreamProtocol(cluster: Cluster, protocol: string): Protocol {
  switch (cluster.http.protocol) {
    case "http1":
      return "HTTP11";
    case "http2":
    case "auto":
      return "HTTP2";
    case "downstream":
      if (protocol === "HTTP/2") return "HTTP2";
      return protocol === "HTTP/1.0" ? "HTTP10" : "HTTP11";
  }
}
