// envoy.filters.network.rbac: refuses connections that the rules do not let pass. Decided when the connection arrives, before
// anything is dialled: unlike Envoy, which waits for the first byte, a server that speaks first tells a refused client nothing.
import type { NetworkRbacConfig } from "../../../envoy/http-filter/rbac.ts";
import { compileRbac, type RbacTest } from "../../../match/rbac.ts";
import type { NetworkFilter, NetworkFilterContext, NetworkFilterSpec } from "../../filter.ts";

/** The network RBAC filter. */
export const networkRbac: NetworkFilterSpec = {
  extension: "envoy.filters.network.rbac",
  terminal: false,
  create: (config, context) => createNetworkRbac(config as NetworkRbacConfig, context),
};

function createNetworkRbac(config: NetworkRbacConfig, context: NetworkFilterContext): NetworkFilter {
  const { rules } = config;
  if (rules === undefined) return { onConnection: () => "continue" };
  const stats = context.stats.scope(`${config.statPrefix}rbac`);
  const allowed = stats.counter("allowed");
  const denied = stats.counter("denied");
  const decide: RbacTest = compileRbac(rules);
  return {
    onConnection: ({ info }) => {
      const decision = decide(info, undefined);
      if (decision.allowed) {
        allowed.inc();
        return "continue";
      }
      denied.inc();
      // The terminal filter closes it and writes the record, which is its to write.
      info.denied = `rbac_access_denied_matched_policy[${(decision.policy ?? "none").replace(/\s/g, "_")}]`;
      return "continue";
    },
  };
}
