// The virtual hosts of a sidecar's port: those of VirtualServices first, then each service that none of them speaks for.
import { isIPv6 } from "node:net";
import { KeptIndex, KeptMap } from "../../../kept-list.ts";
import type { Json } from "../envoy-json.ts";
import type { DestinationRule } from "../istio/destination-rules.ts";
import { bySpecificity, hostCovers } from "../istio/host-name.ts";
import { meshGateway, type VirtualService } from "../istio/virtual-services.ts";
import type { NodeView } from "../node-view.ts";
import { isHttp } from "../registry/protocol.ts";
import type { ServiceAlias } from "../registry/aliases.ts";
import { compareText, type MeshService, type ServicePort } from "../registry/service.ts";
import { buildHttpRoutes } from "../route/http-routes.ts";
import { ruleLookup, serviceLookup } from "../route/forward.ts";
import type { EgressScope } from "../scope/sidecar-scope.ts";
import { DefaultHosts, defaultHost, type PortTarget, type VirtualHostJson } from "./default-hosts.ts";
import { hostDomains, serviceDomains } from "./domains.ts";

/** The services of one port, the first of each name. */
interface PortServices {
  readonly targets: readonly PortTarget[];
  get(hostname: string): PortTarget | undefined;
}

const noServices: PortServices = { targets: [], get: () => undefined };

/** Virtual hosts in the order of their names. */
export interface PortHosts {
  readonly hosts: readonly VirtualHostJson[];
  get(name: string): VirtualHostJson | undefined;
}

// Hosts that no service has are served on the port of plain HTTP alone: which other would they be called on?
const plainHttpPort = 80;

/** Builds the virtual hosts of any port of one egress listener. */
export class VirtualHostBuilder {
  readonly #view: NodeView;
  readonly #byPort: ReadonlyMap<number, PortServices>;
  readonly #memory: Map<number, DefaultHosts>;
  readonly #virtualServices: readonly VirtualService[];
  /** Exact hosts, then wildcards by specificity, each with the VirtualService that owns it. */
  readonly #exact = new Map<string, VirtualService>();
  readonly #wildcards: readonly (readonly [string, VirtualService])[];
  readonly #built = new Map<number, PortHosts>();
  readonly #ruleOf: (hostname: string) => DestinationRule | undefined;

  constructor(view: NodeView, egress: EgressScope) {
    this.#view = view;
    this.#ruleOf = ruleLookup(view, serviceLookup(view));
    this.#byPort = servicesByPort(egress);
    this.#memory = memoryOf(view.context, egress.listener);
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

  /** The virtual hosts of a port; no two share a domain, as Envoy refuses a configuration in which they do. */
  hostsOf(port: number): PortHosts {
    const known = this.#built.get(port);
    if (known !== undefined) return known;
    const hosts = this.#build(port);
    const built = { hosts, get: (name: string) => findHost(hosts, name) };
    this.#built.set(port, built);
    return built;
  }

  #build(port: number): readonly VirtualHostJson[] {
    const services = this.#byPort.get(port) ?? noServices;
    const table = new HostTable(this.#view, port);
    const spokenFor = new Set<string>();
    for (const virtualService of this.#virtualServices) {
      for (const hostname of this.#addVirtualService(table, virtualService, services, port)) spokenFor.add(hostname);
    }
    const others = services.targets.filter((target) => carriesHttp(target.port) && !spokenFor.has(target.service.hostname));
    const defaults = this.#defaultsOf(port).disjoint(this.#view, others, table.hosts);
    if (defaults === undefined) for (const target of others) table.addKept(defaultHost(this.#view, target));
    else if (table.hosts.length === 0) return defaults;
    return [...(defaults ?? []), ...table.hosts].toSorted((a, b) => compareText(a.name, b.name));
  }

  #defaultsOf(port: number): DefaultHosts {
    let defaults = this.#memory.get(port);
    if (defaults === undefined) this.#memory.set(port, (defaults = new DefaultHosts()));
    return defaults;
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
        (services.get(host) !== undefined ? owned : this.#aliasOn(port, host) !== undefined ? aliases : others).push(host);
        continue;
      }
      const covered = services.targets.map(({ service }) => service.hostname).filter((hostname) => hostCovers(host, hostname));
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

// By context and egress listener.
const memories = new WeakMap<object, WeakMap<object, Map<number, DefaultHosts>>>();

function memoryOf(context: object, listener: object): Map<number, DefaultHosts> {
  const ofContext = memories.get(context) ?? new WeakMap<object, Map<number, DefaultHosts>>();
  memories.set(context, ofContext);
  const memory = ofContext.get(listener) ?? new Map<number, DefaultHosts>();
  ofContext.set(listener, memory);
  return memory;
}

const targetsOfServices = new KeptMap<MeshService, readonly PortTarget[]>();
const byName = new KeptIndex<MeshService, string>((service) => service.hostname);

function servicesByPort({ listener, services }: EgressScope): ReadonlyMap<number, PortServices> {
  const byPort = new Map<number, PortTarget[]>();
  for (const targets of targetsOfServices.map(listener, services, [], onePerNumber)) {
    for (const target of targets) {
      const known = byPort.get(target.port.port);
      if (known === undefined) byPort.set(target.port.port, [target]);
      else known.push(target);
    }
  }
  return new Map(
    [...byPort].map(([port, targets]) => [port, byName.isUnique(services) ? indexed(services, port, targets) : firstOfName(targets)]),
  );
}

/** TCP and UDP may have a number each; the first one stands for the service. */
function onePerNumber(service: MeshService): readonly PortTarget[] {
  const { ports } = service;
  return ports.flatMap((port, index) => (ports.findIndex((each) => each.port === port.port) === index ? [{ service, port }] : []));
}

function indexed(services: readonly MeshService[], number: number, targets: readonly PortTarget[]): PortServices {
  return {
    targets,
    get: (hostname) => {
      const service = byName.get(services, hostname);
      const port = service?.ports.find((each) => each.port === number);
      return service === undefined || port === undefined ? undefined : { service, port };
    },
  };
}

function firstOfName(targets: readonly PortTarget[]): PortServices {
  const byHost = new Map<string, PortTarget>();
  for (const target of targets) if (!byHost.has(target.service.hostname)) byHost.set(target.service.hostname, target);
  return { targets: [...byHost.values()], get: (hostname) => byHost.get(hostname) };
}

function findHost(hosts: readonly VirtualHostJson[], name: string): VirtualHostJson | undefined {
  let [low, high] = [0, hosts.length - 1];
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const host = hosts[middle] as VirtualHostJson;
    const order = compareText(host.name, name);
    if (order === 0) return host;
    if (order < 0) low = middle + 1;
    else high = middle - 1;
  }
  return undefined;
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

function carriesHttp(port: ServicePort | undefined): boolean {
  return port !== undefined && (isHttp(port.protocol) || port.protocol === "AUTO");
}
