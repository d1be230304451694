// istio.alpn: offers Istio's ALPN names to the upstream instead of the cluster's own, by the protocol that the upstream speaks,
// so that the server side can tell mesh traffic.
import type { IstioAlpnConfig } from "../../../envoy/http-filter/istio-alpn.ts";
import type { HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../http/filter.ts";
import type { HttpStream } from "../../../http/stream.ts";
import type { UpstreamCluster } from "../../../upstream/cluster.ts";

/** The ALPN filter. */
export const istioAlpn: HttpFilterSpec = {
  extension: "istio.alpn",
  create: (config, context) => createIstioAlpn(config as IstioAlpnConfig, context),
};

type Protocol = IstioAlpnConfig["overrides"][number]["upstreamProtocol"];

/** An override with the key by which pools tell it from others. */
interface Offer {
  readonly protocols: readonly string[];
  readonly key: string;
}

function createIstioAlpn(config: IstioAlpnConfig, context: HttpFilterContext): HttpFilter | undefined {
  const offers = new Map<Protocol, Offer>();
  for (const { upstreamProtocol, alpnOverride } of config.overrides) {
    if (alpnOverride.length > 0) offers.set(upstreamProtocol, { protocols: alpnOverride, key: alpnOverride.join(",") });
  }
  if (offers.size === 0) return undefined;
  return {
    onRequestHeaders: (stream) => {
      const action = stream.route?.action;
      if (action?.kind !== "route") return "continue";
      // Of weighted clusters the first stands for all: they are subsets of one service and speak one protocol.
      const cluster = context.clusters.get(action.pickCluster(stream, 0).name);
      if (cluster === undefined || optsOut(cluster)) return "continue";
      const offer = offers.get(upstreamProtocol(cluster, stream));
      if (offer !== undefined) {
        stream.upstreamAlpn = offer.protocols;
        stream.upstreamAlpnKey = offer.key;
      }
      return "continue";
    },
  };
}

// istiod marks clusters whose TLS settings are the user's own.
function optsOut(cluster: UpstreamCluster): boolean {
  return cluster.model.metadata["istio"]?.["alpn_override"] === "false";
}

function upstreamProtocol(cluster: UpstreamCluster, stream: HttpStream): Protocol {
  switch (cluster.model.http.protocol) {
    case "http1":
      return "HTTP11";
    case "http2":
    case "auto":
      return "HTTP2";
    case "downstream": {
      const { protocol } = stream.info;
      if (protocol === "HTTP/2") return "HTTP2";
      return protocol === "HTTP/1.0" ? "HTTP10" : "HTTP11";
    }
  }
}
