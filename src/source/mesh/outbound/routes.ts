// Outbound route configurations: one for each HTTP port number, and one for each sniffed port of a service.
import { extension, type Json } from "../envoy-json.ts";
import type { NodeView } from "../node-view.ts";
import { requestHash, routeHashFields } from "../policy/hash-policy.ts";
import { isHttp } from "../registry/protocol.ts";
import { clusterName, type MeshService, type ServicePort } from "../registry/service.ts";
import { serviceDomains } from "./domains.ts";

const defaultRetryPolicy: Json = {
  retry_on: "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
  num_retries: 2,
  retry_host_predicate: [
    extension("envoy.retry_host_predicates.previous_hosts", "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
  ],
  host_selection_retry_max_attempts: "5",
};

/** Builds the configurations that the node's listeners name. */
export function buildRoutes(view: NodeView, names: Iterable<string>): readonly Json[] {
  const byPort = new Map<number, { readonly service: MeshService; readonly port: ServicePort }[]>();
  const byName = new Map<string, { readonly service: MeshService; readonly port: ServicePort }>();
  for (const service of view.services) {
    for (const port of service.ports) {
      if (!isHttp(port.protocol) && port.protocol !== "AUTO") continue;
      byName.set(`${service.hostname}:${port.port}`, { service, port });
      const list = byPort.get(port.port);
      if (list === undefined) byPort.set(port.port, [{ service, port }]);
      else list.push({ service, port });
    }
  }
  return [...new Set(names)].flatMap((name) => {
    const sniffed = byName.get(name);
    if (sniffed !== undefined) return [routeConfiguration(name, [virtualHost(view, sniffed.service, sniffed.port, ["*"])])];
    return /^\d+$/.test(name)
      ? [routeConfiguration(name, [...portVirtualHosts(view, byPort.get(Number(name)) ?? []), unknownHost(view)])]
      : [];
  });
}

function portVirtualHosts(
  view: NodeView,
  targets: readonly { readonly service: MeshService; readonly port: ServicePort }[],
): readonly Json[] {
  const taken = new Set<string>();
  return targets.flatMap(({ service, port }) => {
    const domains = serviceDomains(service, view.proxy.domainNamespace, view.addressesOf(service)).filter((domain) => !taken.has(domain));
    // Envoy refuses a configuration in which two virtual hosts share a domain; the older service keeps it.
    for (const domain of domains) taken.add(domain);
    return domains.length === 0 ? [] : [virtualHost(view, service, port, domains)];
  });
}

function virtualHost(view: NodeView, service: MeshService, port: ServicePort, domains: readonly string[]): Json {
  return {
    name: `${service.hostname}:${port.port}`,
    domains,
    routes: [
      {
        name: "default",
        match: { prefix: "/" },
        route: {
          cluster: clusterName("outbound", undefined, service.hostname, port.port),
          timeout: "0s",
          retry_policy: defaultRetryPolicy,
          ...routeHashFields(requestHash(view.ruleOf(service), port.port)),
          max_grpc_timeout: "0s",
        },
        decorator: { operation: `${service.hostname}:${port.port}/*` },
      },
    ],
    include_request_attempt_count: true,
  };
}

function unknownHost(view: NodeView): Json {
  const allowed = view.mesh.config.outboundPolicy === "ALLOW_ANY";
  const name = allowed ? "allow_any" : "block_all";
  const action = allowed
    ? { route: { cluster: "PassthroughCluster", timeout: "0s", max_grpc_timeout: "0s" } }
    : { direct_response: { status: 502 } };
  return { name, domains: ["*"], routes: [{ name, match: { prefix: "/" }, ...action }], include_request_attempt_count: true };
}

function routeConfiguration(name: string, virtualHosts: readonly Json[]): Json {
  return {
    name,
    virtual_hosts: virtualHosts,
    validate_clusters: false,
    // Istio's bound for direct responses written inline.
    max_direct_response_body_size_bytes: 1_048_576,
    ignore_port_in_host_matching: true,
  };
}
