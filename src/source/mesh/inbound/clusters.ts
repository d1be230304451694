// Inbound clusters: from the proxy to its own application.
import { inboundBindConfig } from "../address-family.ts";
import { type Json, socketAddress } from "../envoy-json.ts";
import type { DestinationRule } from "../istio/destination-rules.ts";
import { policyAtPort } from "../istio/effective-policy.ts";
import { clusterMetadata, inboundProtocol, protocolFields } from "../outbound/cluster-fields.ts";
import { passthroughHttpOptions } from "../outbound/fixed-clusters.ts";
import type { NodeView, OwnPort } from "../node-view.ts";
import { connectionPoolFields } from "../policy/connection-pool.ts";
import { inboundClusterName } from "./listeners.ts";

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
    upstream_bind_config: inboundBindConfig(view.family, true),
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
      ...inboundMetadata(own, rule?.spec.policy === undefined ? undefined : rule),
      ...protocolFields(inboundProtocol(own.port, pool), pool),
    };
    const loopback = view.family.mode === "v6" ? "::1" : "127.0.0.1";
    const target = own.ingress?.endpoint ?? (view.proxy.interception === "NONE" ? { address: loopback, port: own.targetPort } : undefined);
    if (target !== undefined) {
      const endpoint = { endpoint: { address: socketAddress(target.address, target.port) } };
      const isLoopback = ["127.0.0.1", "::1"].includes(target.address);
      return {
        ...common,
        type: "STATIC",
        load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [endpoint] }] },
        ...(isLoopback ? {} : { upstream_bind_config: inboundBindConfig(view.family, false) }),
      };
    }
    return {
      ...common,
      type: "ORIGINAL_DST",
      lb_policy: "CLUSTER_PROVIDED",
      cleanup_interval: never,
      upstream_bind_config: inboundBindConfig(view.family, false),
    };
  });
}

// What the mesh calls external is not said to be served here, and a port of a Sidecar that no service has has no metadata.
function inboundMetadata(own: OwnPort, rule: DestinationRule | undefined): Json {
  const services = [...new Set(own.services)].filter((service) => !service.meshExternal);
  return services.length === 0 && rule === undefined ? {} : { metadata: clusterMetadata(services, rule) };
}
