// The virtual hosts of a sidecar's port: those of VirtualServices first, then each service that none of them speaks for.
import { requestHash, routeHashFields } from "../policy/hash-policy.ts";
import { isIPv6 } from "node:net";
import type { Json } from "../envoy-json.ts";
import type { DestinationRule } from "../istio/destination-rules.ts";
import { bySpecificity, hostCovers } from "../istio/host-name.ts";
import { meshGateway, type VirtualService } from "../istio/virtual-services.ts";
import type { MeshConfig } from "../mesh-config.ts";
import type { NodeView } from "../node-view.ts";
import { Kept } from "../object/kept.ts";
import { isHttp } from "../registry/protocol.ts";
import type { ServiceAlias } from "../registry/aliases.ts";
import { clusterName, compareText, type MeshService, type ServicePort } from "../registry/service.ts";
import { buildHttpRoutes } from "../route/http-routes.ts";
import { ruleLookup, serviceLookup } from "../route/forward.ts";
import { retryField } from "../route/policies.ts";
import type { EgressScope } from "../scope/sidecar-scope.ts";
import { hostDomains, serviceDomains } from "./domains.ts";

type PortServices = ReadonlyMap<string, { readonly service: MeshService; readonly port: ServicePort }>;

// Hosts that no service has are served on the port of plain HTTP alone: which other would they be called on?
const plainHttpPort = 80;

/** Builds the virtual hosts of any port of one egress listener. */
export class VirtualHostBuilder {
  readonly #view: NodeView;
  readonly #byPort = new Map<number, Map<string, { readonly service: MeshService; readonly port: ServicePort }>>();
  readonly #virtualServices: readonly VirtualService[];
  /** Exact hosts, then wildcards by specificity, each with the VirtualService that owns it. */
  readonly #exact = new Map<string, VirtualService>();
  readonly #wildcards: readonly (readonly [string, VirtualService])[];
  readonly #built = new Map<number, ReadonlyMap<string, Json>>();
  readonly #ruleOf: (hostname: string) => DestinationRule | undefined;

  constructor(view: NodeView, egress: EgressScope) {
    this.#view = view;
    this.#ruleOf = ruleLookup(view, serviceLookup(view));
    for (const service of egress.services) {
      for (const port of service.ports) {
        const services = this.#byPort.get(port.port);
        if (services === undefined) this.#byPort.set(port.port, new Map([[service.hostname, { service, port }]]));
        else if (!services.has(service.hostname)) services.set(service.hostname, { service, port });
      }
    }
    this.#virtualServices = egress.virtualServices.filter(({ spec }) => spec.http.length > 0);
    const wildcards = new Map<string, VirtualService>();
    for (const virtualService of this.#virtualServices) {
      for (const host of virtualService.spec.hosts) {
        const owners = host.startsWith("*") ? wildcards : this.#exact;
        if (!owners.has(host)) owners.set(host, virtualService);
      }
    }
    this.#wildcards = [...wildcards].toSorted(([a], [b]) => bySpecificity(a, b));
  }

  /** Virtual hosts by name, in its order; no two share a domain, as Envoy refuses a configuration in which they do. */
  hostsOf(port: number): ReadonlyMap<string, Json> {
    const known = this.#built.get(port);
    if (known !== undefined) return known;
    const built = new Map(this.#build(port).map((host) => [String(host["name"]), host]));
    this.#built.set(port, built);
    return built;
  }

  #build(port: number): readonly Json[] {
    const services: PortServices = this.#byPort.get(port) ?? new Map();
    const table = new HostTable(this.#view, port);
    const spokenFor = new Set<string>();
    for (const virtualService of this.#virtualServices) {
      for (const hostname of this.#addVirtualService(table, virtualService, services, port)) spokenFor.add(hostname);
    }
    for (const [hostname, target] of services) {
      if (!spokenFor.has(hostname) && carriesHttp(target.port)) table.addKept(defaultHost(this.#view, target.service, target.port));
    }
    return table.hosts.toSorted((a, b) => compareText(a.name, b.name));
  }

  /** Adds the hosts of one VirtualService, and says which services it speaks for. */
  #addVirtualService(table: HostTable, virtualService: VirtualService, services: PortServices, port: number): readonly string[] {
    const { others, owned, aliases } = this.#splitHosts(virtualService, services, port);
    if (port !== plainHttpPort && owned.length + aliases.length === 0) return [];
    const routes = buildHttpRoutes(virtualService, {
      proxy: this.#view.proxy,
      gateway: meshGateway,
      port,
      defaultRetries: this.#view.mesh.config.retries,
      // Only the services of this port count here, so that without a port this one is meant.
      portOf: () => port,
      ruleOf: this.#ruleOf,
      targetOf: (hostname) => this.#aliasOn(port, hostname)?.externalName ?? hostname,
    });
    const served = owned.filter((hostname) => carriesHttp(services.get(hostname)?.port));
    if (routes.length === 0 || (served.length + aliases.length === 0 && port !== plainHttpPort)) return [];
    for (const host of others) table.add(host, [isIPv6(host) ? `[${host}]` : host], routes);
    for (const hostname of aliases) table.addAlias(hostname, routes);
    for (const hostname of served) {
      const service = services.get(hostname)?.service;
      if (service !== undefined) table.addService(service, routes);
    }
    return served;
  }

  /** The services of a port among the hosts of a VirtualService, and the hosts that are none. */
  #splitHosts(
    virtualService: VirtualService,
    services: PortServices,
    port: number,
  ): { readonly others: readonly string[]; readonly owned: readonly string[]; readonly aliases: readonly string[] } {
    const others: string[] = [];
    const aliases: string[] = [];
    const owned: string[] = [];
    for (const host of virtualService.spec.hosts) {
      if (!host.startsWith("*")) {
        (services.has(host) ? owned : this.#aliasOn(port, host) !== undefined ? aliases : others).push(host);
        continue;
      }
      const covered = [...services.keys()].filter((hostname) => hostCovers(host, hostname));
      if (covered.length === 0) others.push(host);
      owned.push(...covered.filter((hostname) => this.#ownerOf(hostname) === virtualService));
    }
    return { others, owned: [...new Set(owned)], aliases };
  }

  /** An ExternalName service, which counts as a service on the ports alone that it names, as in Istio. */
  #aliasOn(port: number, hostname: string): ServiceAlias | undefined {
    const alias = this.#view.aliases.get(hostname);
    return alias?.ports.some((each) => each.port === port) === true ? alias : undefined;
  }

  #ownerOf(hostname: string): VirtualService | undefined {
    return this.#exact.get(hostname) ?? this.#wildcards.find(([host]) => hostCovers(host, hostname))?.[1];
  }
}

/** The virtual hosts of one port being gathered. */
class HostTable {
  readonly #view: NodeView;
  readonly #port: number;
  readonly #names = new Set<string>();
  readonly #domains = new Set<string>();
  readonly hosts: VirtualHostJson[] = [];

  constructor(view: NodeView, port: number) {
    this.#view = view;
    this.#port = port;
  }

  addService(service: MeshService, routes: readonly Json[]): void {
    this.add(service.hostname, serviceDomains(service, this.#view.proxy.domainNamespace, this.#view.addressesOf(service)), routes);
  }

  addAlias(hostname: string, routes: readonly Json[]): void {
    this.add(hostname, hostDomains(hostname, this.#view.proxy.domainNamespace), routes);
  }

  /** Adds a host that is the same object from load to load, unless somebody has one of its domains already. */
  addKept(host: VirtualHostJson): void {
    if (this.#names.has(host.name) || host.domains.some((domain) => this.#domains.has(domain))) {
      this.add(host.name.slice(0, host.name.lastIndexOf(":")), host.domains, host.routes);
      return;
    }
    this.#names.add(host.name);
    for (const domain of host.domains) this.#domains.add(domain);
    this.hosts.push(host);
  }

  /** Adds a host with those of its domains that nobody has yet; the first to claim a name or domain keeps it. */
  add(host: string, domains: readonly string[], routes: readonly Json[]): void {
    const name = `${host}:${this.#port}`;
    if (this.#names.has(name)) return;
    this.#names.add(name);
    const free = domains.filter((domain) => !this.#domains.has(domain));
    for (const domain of free) this.#domains.add(domain);
    if (free.length > 0) this.hosts.push({ name, domains: free, routes, include_request_attempt_count: true });
  }
}

type VirtualHostJson = Json & { readonly name: string; readonly domains: readonly string[]; readonly routes: readonly Json[] };

// By port, as a service has a host on each of them.
const defaultHosts = new Kept<ServicePort, VirtualHostJson>();

/** The host of a service that no VirtualService speaks for. */
function defaultHost(view: NodeView, service: MeshService, port: ServicePort): VirtualHostJson {
  const rule = view.ruleOf(service);
  return defaultHosts.get(port, [view.context, service, rule], () => ({
    name: `${service.hostname}:${port.port}`,
    domains: serviceDomains(service, view.proxy.domainNamespace, view.addressesOf(service)),
    routes: [defaultRoute(view.mesh.config, service.hostname, port.port, routeHashFields(requestHash(rule, port.port)))],
    include_request_attempt_count: true,
  }));
}

function carriesHttp(port: ServicePort | undefined): boolean {
  return port !== undefined && (isHttp(port.protocol) || port.protocol === "AUTO");
}

function defaultRoute(config: MeshConfig, hostname: string, port: number, hashFields: Json): Json {
  return {
    name: "default",
    match: { prefix: "/" },
    route: {
      cluster: clusterName("outbound", undefined, hostname, port),
      timeout: "0s",
      ...retryField(config.retries, false),
      ...hashFields,
      max_grpc_timeout: "0s",
    },
    decorator: { operation: `${hostname}:${port}/*` },
  };
}
