// envoy.filters.network.rbac: refuses connections that the rules do not let pass. Decided when the connection arrives, before
// anything is dialled: unlike Envoy, which waits for the first byte, a server that speaks first tells a refused client nothing.
import type { NetworkRbacConfig } from "../../../envoy/http-filter/rbac.ts";
import type { NetworkFilter, NetworkFilterContext, NetworkFilterSpec } from "../../filter.ts";
import { createRbacEngine, deniedDetails } from "../../rbac-engine.ts";

/** The network RBAC filter. */
export const networkRbac: NetworkFilterSpec = {
  extension: "envoy.filters.network.rbac",
  terminal: false,
  create: (config, context) => createNetworkRbac(config as NetworkRbacConfig, context),
};

function createNetworkRbac(config: NetworkRbacConfig, context: NetworkFilterContext): NetworkFilter {
  const stats = context.stats.scope(`${config.statPrefix}rbac`);
  const engine = createRbacEngine(networkRbac.extension, config, { rules: stats, shadow: stats }, context.logger);
  if (engine === undefined) return { onConnection: () => "continue" };
  return {
    onConnection: ({ info }) => {
      // The first refusal is the one that is told.
      if (info.denied !== "") return "continue";
      const policy = engine.decide(info, undefined, info);
      // The terminal filter closes it and writes the record, which is its to write.
      if (policy !== undefined) info.denied = deniedDetails(policy);
      return "continue";
    },
  };
}
