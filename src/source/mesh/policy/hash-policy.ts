// What consistent hashing needs of routes and TCP proxies, and what else a rule sets on a TCP proxy.
import type { Json } from "../envoy-json.ts";
import type { Subset } from "../istio/destination-rule.ts";
import type { DestinationRule } from "../istio/destination-rules.ts";
import type { ConsistentHash } from "../istio/load-balancer.ts";

/** The hash of requests to a port of a service: the port's own before the rule's, which it inherits in Istio. */
export function requestHash(rule: DestinationRule | undefined, port: number): ConsistentHash | undefined {
  const policy = rule?.spec.policy;
  return policy?.ports.get(port)?.loadBalancer?.consistentHash ?? policy?.settings.loadBalancer?.consistentHash;
}

/** `hash_policy` of a route. */
export function routeHashFields(hash: ConsistentHash | undefined): Json {
  const policy = hash?.key === undefined ? undefined : encodeKey(hash.key);
  return policy === undefined ? {} : { hash_policy: [policy] };
}

function encodeKey(key: NonNullable<ConsistentHash["key"]>): Json {
  switch (key.kind) {
    case "header":
      return { header: { header_name: key.name } };
    case "cookie":
      return {
        cookie: {
          name: key.name,
          ...(key.ttl === undefined ? {} : { ttl: key.ttl }),
          ...(key.path === "" ? {} : { path: key.path }),
          ...(key.attributes.length === 0 ? {} : { attributes: key.attributes }),
        },
      };
    case "source-ip":
      return { connection_properties: key.enabled ? { source_ip: true } : {} };
    case "query":
      return { query_parameter: { name: key.name } };
  }
}

/** Fields of a TCP proxy. Istio takes them from the rule's own policy, whatever its ports and (but for the hash) subsets say. */
export function tcpProxyFields(rule: DestinationRule | undefined, subset?: Pick<Subset, "policy">): Json {
  const settings = rule?.spec.policy?.settings;
  const pool = settings?.connectionPool;
  const key = (subset?.policy?.settings.loadBalancer ?? settings?.loadBalancer)?.consistentHash?.key;
  return {
    ...(pool?.tcpIdleTimeout === undefined ? {} : { idle_timeout: pool.tcpIdleTimeout }),
    ...(key?.kind === "source-ip" && key.enabled ? { hash_policy: [{ source_ip: {} }] } : {}),
    ...(pool?.maxConnectionDuration === undefined ? {} : { max_downstream_connection_duration: pool.maxConnectionDuration }),
  };
}
