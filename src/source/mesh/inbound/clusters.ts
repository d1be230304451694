// Inbound clusters: from the proxy to its own application.
import { type Json, socketAddress } from "../envoy-json.ts";
import type { DestinationRule } from "../istio/destination-rules.ts";
import { policyAtPort } from "../istio/effective-policy.ts";
import { clusterMetadata, protocolFields, upstreamProtocol } from "../outbound/cluster-fields.ts";
import { passthroughHttpOptions } from "../outbound/fixed-clusters.ts";
import type { NodeView, OwnPort } from "../node-view.ts";
import { connectionPoolFields } from "../policy/connection-pool.ts";
import { inboundClusterName } from "./listeners.ts";

// Connections to the application come from this address, so that iptables can tell them from the application's own calls
// to itself.
const fromProxy: Json = { source_address: { address: "127.0.0.6", port_value: 0 } };

// Original-destination hosts of an inbound cluster are the pod's own and never go stale, so they are never swept.
const never = "9223372035s";

/** Where inbound connections go that no own port claims: on to their own destination. */
export function inboundPassthroughCluster(view: NodeView): Json {
  return {
    name: "InboundPassthroughCluster",
    alt_stat_name: "PassthroughCluster;",
    type: "ORIGINAL_DST",
    ...connectionPoolFields(view.mesh.config),
    lb_policy: "CLUSTER_PROVIDED",
    typed_extension_protocol_options: passthroughHttpOptions,
    upstream_bind_config: fromProxy,
  };
}

/** A cluster for each own port: the original destination, or with interception NONE the application on loopback. */
export function buildInboundClusters(view: NodeView): readonly Json[] {
  return view.ownPorts.map((own) => {
    const name = inboundClusterName(own.targetPort);
    // Limits hold at both ends; everything else of a policy is the client's.
    const rule = view.ruleOf(own.service);
    const pool = own.pool ?? policyAtPort(rule?.spec.policy, own.port.port).connectionPool;
    const common: Json = {
      name,
      alt_stat_name: `${name};`,
      ...connectionPoolFields(view.mesh.config, pool),
      common_lb_config: {},
      ...metadataOf(own, rule?.spec.policy === undefined ? undefined : rule),
      ...protocolFields(upstreamProtocol(own.port), pool),
    };
    const target =
      own.ingress?.endpoint ?? (view.proxy.interception === "NONE" ? { address: "127.0.0.1", port: own.targetPort } : undefined);
    if (target !== undefined) {
      const endpoint = { endpoint: { address: socketAddress(target.address, target.port) } };
      const isLoopback = ["127.0.0.1", "::1"].includes(target.address);
      return {
        ...common,
        type: "STATIC",
        load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint] }] },
        ...(isLoopback ? {} : { upstream_bind_config: fromProxy }),
      };
    }
    return { ...common, type: "ORIGINAL_DST", lb_policy: "CLUSTER_PROVIDED", cleanup_interval: never, upstream_bind_config: fromProxy };
  });
}

/** A port of a Sidecar that no service has has no metadata. */
function metadataOf(own: OwnPort, rule: DestinationRule | undefined): Json {
  const services = uniqueServices(own);
  return services.length === 0 && rule === undefined ? {} : { metadata: clusterMetadata(services, rule) };
}

const uniqueServices = (own: OwnPort): OwnPort["services"] => [...new Set(own.services)];
