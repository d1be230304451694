// One node's view of the mesh: the services it sees, their addresses as seen from its cluster, its own ports.
// Built once per translation; every builder reads from it.
import { isIP } from "node:net";
import { KeptMap } from "../../kept-list.ts";
import type { Node } from "../../envoy/bootstrap.ts";
import { type AddressFamily, chooseAddresses, familyOf } from "./address-family.ts";
import type { ConnectionPool } from "./istio/connection-pool.ts";
import { type ClientTlsMode, type ClientTlsSettings, originatesTls } from "./istio/client-tls.ts";
import type { PolicySettings, Subset } from "./istio/destination-rule.ts";
import { type DestinationRule, endpointTlsMode, indexDestinationRules } from "./istio/destination-rules.ts";
import { effectivePolicy } from "./istio/effective-policy.ts";
import {
  indexPeerAuthentications,
  modeAtPort,
  type PeerAuthenticationLookup,
  type WorkloadMutualTls,
} from "./istio/peer-authentications.ts";
import type { OwnServer } from "./gateway/merge-servers.ts";
import type { MeshConfig } from "./mesh-config.ts";
import type { MeshView } from "./mesh-view.ts";
import { Kept } from "./object/kept.ts";
import { describeProxy, type Proxy } from "./proxy.ts";
import { describeCaller } from "./policy/caller.ts";
import type { Caller } from "./policy/locality-priorities.ts";
import type { ServiceAlias } from "./registry/aliases.ts";
import { compileClusterLocal, type ClusterLocalTest } from "./registry/cluster-local.ts";
import { machinePort, type WorkloadIndex, workloadsOf } from "./registry/kubernetes-services.ts";
import type { Networks } from "./registry/networks.ts";
import { buildServiceRegistry } from "./registry/service-registry.ts";
import { openedPorts, type OwnIngress } from "./scope/ingress.ts";
import { pluginsOf, type WasmPlugin } from "./plugin/plugin-filters.ts";
import { securityFilters, type SecurityFilters } from "./security-filters.ts";
import { compileScope, type SidecarScope } from "./scope/sidecar-scope.ts";
import { labelsMatch, type MeshEndpoint, type MeshService, type ServicePort } from "./registry/service.ts";
import type { WorkloadEntry } from "./registry/workload-entries.ts";

/** A port of the proxy's own workload, as a service exposes it. */
export interface OwnPort {
  readonly service: MeshService;
  readonly port: ServicePort;
  /** The port the application listens on. */
  readonly targetPort: number;
  /** Every service that exposes the same target port, the first included. */
  readonly services: readonly MeshService[];
  /** What traces call it by: the service's host name, or the Sidecar's name. */
  readonly host: string;
  /** Limits that a Sidecar sets in place of the rule's. */
  readonly pool?: ConnectionPool;
  /** Set when a Sidecar opens the port. */
  readonly ingress?: OwnIngress;
}

/**
 * How a client speaks to a port: `auto` is mTLS to the endpoints that take it, `mutual` always, `originate` is TLS as the rule
 * says, `none` plaintext.
 */
export type ClientTls = "auto" | "mutual" | "originate" | "none";

/** Everything a builder asks about. */
export interface NodeView {
  /**
   * The same object from load to load while the node and all that is not said of a single service stay the same: what a builder
   * made of a service and its rule in the same context it need not make again.
   */
  readonly context: object;
  /**
   * The same list from load to load while `context`, the rules of the mesh and the definitions of all services the node sees stay
   * the same: then its listeners, routes and names do as well.
   */
  readonly definitions: object;
  readonly mesh: MeshView;
  readonly proxy: Proxy;
  /** The workload's: those of its Pod, where one is known, else the node's. */
  readonly labels: Readonly<Record<string, string>>;
  readonly family: AddressFamily;
  readonly networks: Networks;
  /** What the proxy has clusters for; its listeners, routes and names come from `scope.egress`. */
  readonly services: readonly MeshService[];
  readonly scope: SidecarScope;
  /** ExternalName services by host name. */
  readonly aliases: ReadonlyMap<string, ServiceAlias>;
  readonly clusterLocal: ClusterLocalTest;
  /** The node as locality settings see it. */
  readonly caller: Caller;
  readonly ownPorts: readonly OwnPort[];
  readonly ownServers: readonly OwnServer[];
  /** What the node's own workload demands of its clients. */
  readonly ownMutualTls: WorkloadMutualTls;
  /** What the policies of the node's own workload come to. */
  readonly security: SecurityFilters;
  /** What is plugged into its connection managers, in order. */
  readonly plugins: readonly WasmPlugin[];
  /** True when the traffic of this workload is not to be taken (includeOutboundIPRanges is empty). */
  readonly outboundDisabled: boolean;
  /** True when a server of this proxy forwards by SNI to any service. */
  readonly autoPassthrough: boolean;
  ruleOf(service: MeshService): DestinationRule | undefined;
  /** What the service's rule says about a port and subset. */
  policyOf(service: MeshService, subset: Subset | undefined, port: ServicePort): PolicySettings;
  /** What the cluster of a port and subset does. */
  tlsOf(service: MeshService, subset: Subset | undefined, port: ServicePort): ClientTls;
  /** Tells the endpoints of a port and subset that are called with mTLS. */
  takesMutualTls(service: MeshService, subset: Subset | undefined, port: ServicePort): (endpoint: MeshEndpoint) => boolean;
  /** Addresses (IPs or CIDRs) that clients of this node's cluster use; empty for a service without one. */
  addressesOf(service: MeshService): readonly string[];
}

const contexts = new Kept<MeshConfig, object>();
const definitions = new Kept<object, object>();
const definitionLists = new KeptMap<MeshService, object>();

function definitionsOf(mesh: MeshView, scope: SidecarScope, context: object, aliases: readonly ServiceAlias[]): readonly unknown[] {
  const lists = [{ listener: context, services: scope.byHost.services }, ...scope.egress];
  return [
    mesh.virtualServices,
    mesh.destinationRules,
    aliases,
    ...lists.map(({ listener, services }) => definitionLists.map(listener, services, [], (service) => service.definition)),
  ];
}

const aliasMaps = new Kept<readonly ServiceAlias[], ReadonlyMap<string, ServiceAlias>>();

/** Looks at the mesh from one node. */
export function viewFromNode(mesh: MeshView, node: Node): NodeView {
  const proxy = describeProxy(node);
  const family = familyOf(proxy, mesh.config);
  const registry = buildServiceRegistry(mesh);
  const seesAllocated = proxy.dnsCapture && (proxy.dnsAutoAllocate || !mesh.config.autoAllocate.optIn);
  const authentication = indexPeerAuthentications(mesh);
  const ownServers = proxy.type === "router" ? findServers(mesh, proxy) : [];
  const workload = mesh.clusters
    .filter((cluster) => cluster.name === proxy.cluster)
    .map((cluster) => workloadsOf(cluster).findProxy(proxy.namespace, proxy.name, proxy.addresses))
    .find((found) => found !== undefined);
  const labels = workload?.pod.meta.labels ?? proxy.labels;
  const scope = compileScope(mesh, proxy, labels, registry.services);
  const security = securityFilters(mesh, proxy, labels, registry.services);
  const findRule = indexDestinationRules(mesh, proxy.namespace, labels);
  // Only what is in scope has a rule; an own port may be of a service that is not.
  const ruleOf = (service: MeshService): DestinationRule | undefined => {
    const imported = scope.byHost.get(service.hostname);
    return imported === undefined ? undefined : findRule(imported);
  };
  const caller = describeCaller(proxy, workload, registry.networks);
  const ranges = workload?.pod.meta.annotations["traffic.sidecar.istio.io/includeOutboundIPRanges"];
  const context = contexts.get(
    mesh.config,
    [registry.networks, mesh.peerAuthentications, scope.sidecar, ranges, ...[node, caller, labels].map((each) => JSON.stringify(each))],
    () => ({}),
  );
  return {
    context,
    definitions: definitions.get(context, definitionsOf(mesh, scope, context, registry.aliases), () => ({})),
    mesh,
    proxy,
    labels,
    family,
    networks: registry.networks,
    services: scope.byHost.services,
    scope,
    aliases: aliasMaps.get(registry.aliases, [], () => new Map(registry.aliases.map((alias) => [alias.hostname, alias]))),
    clusterLocal: compileClusterLocal(mesh.config),
    caller,
    ownPorts: openedPorts(scope.sidecar, proxy, findOwnPorts(registry.services, proxy, workload, findMachine(mesh, proxy))),
    ownServers,
    ownMutualTls: authentication.ofWorkload(proxy.namespace, labels),
    security,
    plugins: pluginsOf(mesh, { namespace: proxy.namespace, labels }),
    outboundDisabled: ranges === "",
    autoPassthrough: ownServers.some(({ server }) => server.tlsMode === "AUTO_PASSTHROUGH"),
    ruleOf,
    policyOf: (service, subset, port) => effectivePolicy(ruleOf(service), subset, port.port),
    tlsOf: (service, subset, port) => {
      const rule = ruleOf(service);
      const { settings } = (subset === undefined ? rule?.spec.policy : subset.policy) ?? {};
      // A port's own balancer is not looked at here, as in Istio.
      const callerPicks = service.resolution === "passthrough" || settings?.loadBalancer?.simple === "PASSTHROUGH";
      const { tls } = effectivePolicy(rule, subset, port.port);
      if (tls !== undefined) return ruledTls(tls, proxy.type === "router" || rule?.spec.workloadSelector !== undefined);
      const demanded = authentication.ofNamespace(service.namespace);
      return mesh.config.enableAutoMtls && demanded !== "DISABLE" ? autoTls(service, port, callerPicks) : "none";
    },
    addressesOf: (service) => {
      const addresses = addressesFor(service, proxy, seesAllocated);
      // What a ServiceEntry lists are services of their own in Istio, so those are all used.
      return service.registry === "Kubernetes" || service.addresses.size === 0 ? chooseAddresses(family, addresses) : addresses;
    },
    takesMutualTls: (service, subset, port) => mutualTlsTest(endpointTlsMode(ruleOf(service), subset, port.port), authentication),
  };
}

/** @param mayHaveSecrets whether Istio gives this proxy Kubernetes Secrets for the rule; without them it calls in plaintext */
function ruledTls(tls: ClientTlsSettings, mayHaveSecrets: boolean): ClientTls {
  if (!originatesTls(tls)) return tls.mode === "DISABLE" ? "none" : "mutual";
  return tls.credentialName === "" || mayHaveSecrets ? "originate" : "none";
}

function autoTls(service: MeshService, port: ServicePort, callerPicks: boolean): ClientTls {
  if (service.meshExternal) return "none";
  if (!callerPicks) return "auto";
  // The caller picks the address, so the choice cannot be made by endpoint: every one of them has to take mTLS.
  const behind = service.endpoints.filter((endpoint) => endpoint.portName === port.name);
  return behind.length > 0 && behind.every((endpoint) => endpoint.mutualTls) ? "auto" : "none";
}

/** A rule has the last word on endpoints with a sidecar; without one their own PeerAuthentication decides. */
function mutualTlsTest(ofRule: ClientTlsMode | undefined, authentication: PeerAuthenticationLookup): (endpoint: MeshEndpoint) => boolean {
  if (ofRule !== undefined) return (endpoint) => ofRule === "ISTIO_MUTUAL" && endpoint.mutualTls;
  return ({ mutualTls, namespace, labels, port }) =>
    mutualTls && modeAtPort(authentication.ofWorkload(namespace, labels), port) !== "DISABLE";
}

function addressesFor(service: MeshService, proxy: Proxy, seesAllocated: boolean): readonly string[] {
  const own = service.addresses.get(proxy.cluster);
  if (own !== undefined) return own;
  if (service.allocated.length > 0 && service.addresses.size === 0) return seesAllocated ? service.allocated : [];
  // Not in this cluster: any cluster's address will do, as the sidecar takes the connection before it could get there.
  return [...service.addresses.values()][0] ?? [];
}

/** The machine that the proxy runs on, when it is in the config cluster and no pod. */
function findMachine(mesh: MeshView, proxy: Proxy): WorkloadEntry | undefined {
  if (proxy.cluster !== mesh.clusters[0]?.name) return undefined;
  return mesh.workloadEntries.find(({ meta, spec }) => meta.namespace === proxy.namespace && proxy.addresses.includes(spec.address));
}

function findServers(mesh: MeshView, proxy: Proxy): readonly OwnServer[] {
  return mesh.gateways
    .filter((gateway) => labelsMatch(gateway.spec.selector, proxy.labels))
    .flatMap((gateway) => gateway.spec.servers.map((server) => ({ gateway, server })));
}

/** Tells most of a mesh's services apart from those that the proxy's workload can be behind. */
function mayBeOwn(service: MeshService, proxy: Proxy): boolean {
  return service.registry === "Kubernetes" ? service.namespace === proxy.namespace && service.targets.has(proxy.cluster) : true;
}

function findOwnPorts(
  services: readonly MeshService[],
  proxy: Proxy,
  workload: ReturnType<WorkloadIndex["findProxy"]>,
  machine: WorkloadEntry | undefined,
): readonly OwnPort[] {
  const labels = workload?.pod.meta.labels ?? machine?.spec.labels ?? proxy.labels;
  const byTarget = new Map<number, { service: MeshService; port: ServicePort; targetPort: number; services: MeshService[] }>();
  const add = (service: MeshService, port: ServicePort, targetPort: number): void => {
    const known = byTarget.get(targetPort);
    // Two services on one target port: the older one names it, as only one chain can answer there.
    if (known !== undefined) known.services.push(service);
    else byTarget.set(targetPort, { service, port, targetPort, services: [service] });
  };
  // What Kubernetes says of a port goes before what a ServiceEntry says.
  const candidates = services.filter((service) => mayBeOwn(service, proxy));
  const ordered = [
    ...candidates.filter((each) => each.registry === "Kubernetes"),
    ...candidates.filter((each) => each.registry !== "Kubernetes"),
  ];
  for (const service of ordered) {
    const targets = service.targets.get(proxy.cluster);
    if (targets !== undefined) {
      if (service.namespace !== proxy.namespace || Object.keys(targets.selector).length === 0 || !labelsMatch(targets.selector, labels))
        continue;
      if (machine !== undefined && workload === undefined && service.headless) continue;
      for (const { port, targetPort } of targets.ports) {
        if (machine !== undefined && workload === undefined) {
          const served = machinePort(machine, { name: port.name, targetPort });
          if (served !== undefined) add(service, port, served);
          continue;
        }
        const number =
          typeof targetPort === "number" ? targetPort : workload?.pod.spec.containerPorts.find((each) => each.name === targetPort)?.port;
        if (number !== undefined) add(service, port, number);
      }
      continue;
    }
    if (service.registry !== "External") continue;
    for (const endpoint of service.endpoints) {
      const port = service.ports.find((each) => each.name === endpoint.portName);
      if (port !== undefined && isIP(endpoint.address) !== 0 && proxy.addresses.includes(endpoint.address))
        add(service, port, endpoint.port);
    }
  }
  return [...byTarget.values()].map((own) => ({ ...own, host: own.service.hostname })).toSorted((a, b) => a.targetPort - b.targetPort);
}
