// sni_cluster: the cluster of the TCP proxy behind it is named by the connection's SNI (Istio's AUTO_PASSTHROUGH).
import type { NetworkFilterSpec } from "../../filter.ts";

/** The sni_cluster filter. */
export const sniCluster: NetworkFilterSpec = {
  extension: "envoy.filters.network.sni_cluster",
  terminal: false,
  create: () => ({
    onConnection: ({ info }) => {
      // Without SNI the TCP proxy's own cluster stands.
      info.clusterOverride = info.serverName;
      return "continue";
    },
  }),
};
