// Services of one host name made one: a sidecar has one set of clusters for a name, whoever else claims it.
import { KeptIndex } from "../../../kept-list.ts";
import type { MeshService } from "../registry/service.ts";

/** Services of which no two have a name. */
export interface ServicesByHost {
  /** In the order in which they were imported. */
  readonly services: readonly MeshService[];
  get(hostname: string): MeshService | undefined;
}

const byName = new KeptIndex<MeshService, string>((service) => service.hostname);

/** Services by host name, in the order in which they were imported. */
export class ImportedServices {
  /** Imported together and no two of a name: the common case, which needs no table of its own. */
  #together: readonly MeshService[] | undefined;
  #byHost = new Map<string, MeshService>();

  get byHost(): ServicesByHost {
    const together = this.#together;
    if (together !== undefined) return { services: together, get: (hostname) => byName.get(together, hostname) };
    const imported = this.#byHost;
    return { services: [...imported.values()], get: (hostname) => imported.get(hostname) };
  }

  /** Adds many, as by one `add` each. */
  addAll(services: readonly MeshService[]): void {
    if (this.#byHost.size === 0 && this.#together === undefined && byName.isUnique(services)) this.#together = services;
    else for (const service of services) this.add(service);
  }

  /** Adds a service: the first of a name stays, unless a Kubernetes service comes after another; ports of equals are joined. */
  add(service: MeshService): void {
    if (this.#together !== undefined) {
      if (byName.get(this.#together, service.hostname) === service) return;
      this.#byHost = new Map(this.#together.map((each) => [each.hostname, each]));
      this.#together = undefined;
    }
    const known = this.#byHost.get(service.hostname);
    if (known === undefined) {
      this.#byHost.set(service.hostname, service);
      return;
    }
    if (known === service) return;
    if (known.registry !== service.registry) {
      if (service.registry === "Kubernetes") this.#byHost.set(service.hostname, service);
      return;
    }
    if (canJoin(known, service)) this.#byHost.set(service.hostname, join(known, service));
  }
}

/** Of the services of one name the imported ones of a single namespace: the client's own, else the first one's, Kubernetes preferred. */
export function oneNamespacePerName(services: readonly MeshService[], namespace: string): readonly MeshService[] {
  if (byName.isUnique(services)) return services;
  const chosen = new Map<string, MeshService>();
  for (const service of services) {
    const known = chosen.get(service.hostname);
    const outranks =
      known === undefined ||
      service.namespace === namespace ||
      (known.registry === "External" && service.registry === "Kubernetes" && known.namespace !== namespace);
    if (outranks) chosen.set(service.hostname, service);
  }
  return services.filter((service) => chosen.get(service.hostname)?.namespace === service.namespace);
}

/** The service with those of its ports that are wanted; undefined when it has none of them. */
export function withPorts(service: MeshService, wanted: (port: number) => boolean): MeshService | undefined {
  const ports = service.ports.filter((port) => wanted(port.port));
  if (ports.length === 0) return undefined;
  return ports.length === service.ports.length ? service : { ...service, definition: {}, ports };
}

function canJoin(a: MeshService, b: MeshService): boolean {
  const targets = new Set(a.exportTo);
  return (
    a.namespace === b.namespace &&
    a.resolution === b.resolution &&
    targets.size === new Set(b.exportTo).size &&
    b.exportTo.every((target) => targets.has(target))
  );
}

function join(known: MeshService, service: MeshService): MeshService {
  const numbers = new Set(known.ports.map((port) => port.port));
  const added = service.ports.filter((port) => !numbers.has(port.port));
  if (added.length === 0) return known;
  // Parts of one service (its ports split over listeners) have the same endpoints already.
  const endpoints = known.endpoints === service.endpoints ? known.endpoints : [...known.endpoints, ...service.endpoints];
  return { ...known, definition: {}, ports: [...known.ports, ...added], endpoints };
}
