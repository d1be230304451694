// Outbound clusters: one a service port and subset; at an AUTO_PASSTHROUGH gateway one more, keyed by SNI.
import { lookupFamily } from "../address-family.ts";
import { adsSource, extension, type Json } from "../envoy-json.ts";
import { originatesTls } from "../istio/client-tls.ts";
import type { Subset } from "../istio/destination-rule.ts";
import type { NodeView } from "../node-view.ts";
import { connectionPoolFields } from "../policy/connection-pool.ts";
import { loadBalancingFields } from "../policy/load-balancing.ts";
import { chooseLocality, commonLbConfig } from "../policy/locality.ts";
import { outlierDetectionFields } from "../policy/outlier-detection.ts";
import { clusterName, type MeshService, type ServicePort, sniName } from "../registry/service.ts";
import { nameByRequest, originatedTlsSocket } from "../tls/originate.ts";
import { autoMutualTls, mutualTlsSocket } from "../tls/upstream.ts";
import { clusterMetadata, outboundProtocol, protocolFields, speaksHttp2, type ProtocolCaller } from "./cluster-fields.ts";
import { clusterPorts, clusterType, forEachService, resolutionType } from "./cluster-ports.ts";
import { buildLocalityEndpoints } from "./endpoints.ts";

/** All outbound clusters of a node. */
export const buildOutboundClusters = forEachService((view, service) => {
  const clusters: Json[] = [];
  for (const { port, subset } of clusterPorts(view, service)) {
    const cluster = buildCluster(view, service, port, subset, false);
    if (cluster !== undefined) clusters.push({ ...tlsFields(view, service, port, subset), ...cluster });
  }
  return clusters;
});

/** SNI-DNAT clusters: what an AUTO_PASSTHROUGH gateway forwards to, untouched, so without any TLS of its own. */
export const buildSniDnatClusters = forEachService((view, service) => {
  if (service.meshExternal) return [];
  return [...clusterPorts(view, service)].flatMap(({ port, subset }): readonly Json[] => {
    const cluster = buildCluster(view, service, port, subset, true);
    return cluster === undefined ? [] : [cluster];
  });
});

function buildCluster(
  view: NodeView,
  service: MeshService,
  port: ServicePort,
  subset: Subset | undefined,
  sniDnat: boolean,
): Json | undefined {
  const name = sniDnat ? sniName(subset, service.hostname, port.port) : clusterName("outbound", subset, service.hostname, port.port);
  const type = clusterType(view, service, subset, port);
  const policy = view.policyOf(service, subset, port);
  const { config } = view.mesh;
  const byRequest =
    !sniDnat && policy.tls !== undefined && view.tlsOf(service, subset, port) === "originate" ? nameByRequest(policy.tls) : undefined;
  const common: Json = {
    name,
    alt_stat_name: `${name};`,
    type,
    ...(type === "ORIGINAL_DST" ? { lb_policy: "CLUSTER_PROVIDED" } : loadBalancingFields(policy.loadBalancer)),
    ...connectionPoolFields(config, policy.connectionPool),
    ...outlierDetectionFields(policy.outlierDetection),
    common_lb_config: commonLbConfig(chooseLocality(config, service, policy), service, policy),
    metadata: clusterMetadata([service], view.ruleOf(service), subset, policy.tls !== undefined && originatesTls(policy.tls)),
    ...protocolFields(outboundProtocol(port, policy.connectionPool, callerOf(view)), policy.connectionPool, byRequest),
  };
  if (type === "ORIGINAL_DST") {
    // A rule's PASSTHROUGH overrides the type alone; how names would have been resolved stays written, as istiod leaves it.
    const named = subset === undefined && ["STRICT_DNS", "LOGICAL_DNS"].includes(resolutionType(view, service));
    return named ? { ...common, ...resolverFields(view) } : common;
  }
  if (type === "EDS") return { ...common, eds_cluster_config: { eds_config: adsSource, service_name: name } };
  const endpoints = buildLocalityEndpoints(view, service, port, subset, sniDnat);
  // Envoy refuses a DNS cluster without an address, so such a port has no cluster, as in Istio.
  if (endpoints.length === 0) return undefined;
  return {
    ...common,
    load_assignment: { cluster_name: name, endpoints },
    ...resolverFields(view),
  };
}

/** How the names of a DNS cluster are resolved. */
function resolverFields(view: NodeView): Json {
  return {
    dns_refresh_rate: view.mesh.config.dnsRefreshRate,
    dns_jitter: "0.100s",
    respect_dns_ttl: true,
    dns_lookup_family: lookupFamily(view.family),
    typed_dns_resolver_config: extension(
      "envoy.network.dns_resolver.cares",
      "envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig",
      {
        udp_max_queries: 100,
      },
    ),
  };
}

function callerOf(view: NodeView): ProtocolCaller {
  return { upgrades: view.mesh.config.h2Upgrade, sniffs: view.proxy.type !== "router" };
}

function tlsFields(view: NodeView, service: MeshService, port: ServicePort, subset: Subset | undefined): Json {
  const kind = view.tlsOf(service, subset, port);
  const { tls, connectionPool } = view.policyOf(service, subset, port);
  if (kind === "none") return {};
  const http2 = speaksHttp2(port, connectionPool, callerOf(view));
  if (kind === "originate" && tls !== undefined) {
    // What a ServiceEntry says its servers are called; the accounts behind a Kubernetes service are no names to the world.
    const names = service.registry === "External" ? service.identities : [];
    return { transport_socket: originatedTlsSocket(view.mesh.config, tls, { names, http2 }) };
  }
  const target = {
    sni: tls === undefined || tls.sni === "" ? sniName(subset, service.hostname, port.port) : tls.sni,
    identities: tls === undefined || tls.subjectAltNames.length === 0 ? service.identities : tls.subjectAltNames,
    http2,
  };
  // An original destination has no endpoint metadata to choose by.
  return kind === "mutual" || clusterType(view, service, subset, port) === "ORIGINAL_DST"
    ? { transport_socket: mutualTlsSocket(target) }
    : { transport_socket_matches: autoMutualTls(target) };
}
