// What consistent hashing needs of routes and TCP proxies, and what else a rule sets on a TCP proxy.
import type { Json } from "../envoy-json.ts";
import type { Subset } from "../istio/destination-rule.ts";
import type { DestinationRule } from "../istio/destination-rules.ts";
import type { ConsistentHash } from "../istio/load-balancer.ts";
import type { Destination } from "../istio/route/destination.ts";

/** The hash of requests to a port of a service: the port's own before the rule's, which it inherits in Istio. */
export function requestHash(rule: DestinationRule | undefined, port: number): ConsistentHash | undefined {
  const policy = rule?.spec.policy;
  return policy?.ports.get(port)?.loadBalancer?.consistentHash ?? policy?.settings.loadBalancer?.consistentHash;
}

/** The hash of requests that a VirtualService sends to a destination; a port counts only where the destination names it. */
export function destinationHash(
  rule: DestinationRule | undefined,
  { subset, port }: Omit<Destination, "host">,
): ConsistentHash | undefined {
  const ofSubset = rule?.spec.subsets.find(({ name }) => name === subset)?.policy;
  const ofRule = rule?.spec.policy;
  const settings = [ofSubset?.ports.get(port), ofSubset?.settings, ofRule?.ports.get(port), ofRule?.settings];
  return settings.map((each) => each?.loadBalancer?.consistentHash).find((hash) => hash !== undefined);
}

/** `hash_policy` of a route, by the hashes of its destinations. */
export function routeHashFields(...hashes: readonly (ConsistentHash | undefined)[]): Json {
  const policies = hashes.flatMap((hash) => (hash?.key === undefined ? [] : [encodeKey(hash.key)]));
  return policies.length === 0 ? {} : { hash_policy: policies };
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
