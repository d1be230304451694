// The virtual hosts of the services of a port that no VirtualService speaks for: most of a mesh, so from load to load only what
// came or went is looked at.
import { KeptClaims, KeptMap, KeptOrder } from "../../../kept-list.ts";
import type { Json } from "../envoy-json.ts";
import type { MeshConfig } from "../mesh-config.ts";
import type { NodeView } from "../node-view.ts";
import { Kept } from "../object/kept.ts";
import { requestHash, routeHashFields } from "../policy/hash-policy.ts";
import { clusterName, compareText, type MeshService, type ServicePort } from "../registry/service.ts";
import { retryField } from "../route/policies.ts";
import { serviceDomains } from "./domains.ts";

/** A virtual host under way. */
export type VirtualHostJson = Json & {
  readonly name: string;
  readonly domains: readonly string[];
  readonly routes: readonly Json[];
};

/** A service on a port. */
export interface PortTarget {
  readonly service: MeshService;
  readonly port: ServicePort;
}

// By port, as a service has a host on each of them.
const hosts = new Kept<ServicePort, VirtualHostJson>();

/** The host of a service that no VirtualService speaks for; the same object for as long as it says the same. */
export function defaultHost(view: NodeView, { service, port }: PortTarget): VirtualHostJson {
  const rule = view.ruleOf(service);
  return hosts.get(port, [view.context, service.definition, rule], () => ({
    name: `${service.hostname}:${port.port}`,
    domains: serviceDomains(service, view.proxy.domainNamespace, view.addressesOf(service)),
    routes: [defaultRoute(view.mesh.config, service.hostname, port.port, routeHashFields(requestHash(rule, port.port)))],
    include_request_attempt_count: true,
  }));
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

/** The default hosts of one port, with an index of their domains that follows the list. */
export class DefaultHosts {
  readonly #made = new KeptMap<PortTarget, VirtualHostJson>();
  readonly #order = new KeptOrder<VirtualHostJson>((a, b) => compareText(a.name, b.name));
  readonly #domains = new KeptClaims<VirtualHostJson, string>((host) => host.domains);

  /**
   * The hosts in the order of their names, when no domain is claimed twice: by two of them, or by one and one of `taken`. Undefined
   * when one is; then whoever asks has to see who claimed it first.
   */
  disjoint(view: NodeView, targets: readonly PortTarget[], taken: readonly VirtualHostJson[]): readonly VirtualHostJson[] | undefined {
    const made = this.#made.map(this, targets, [view.context, view.mesh.destinationRules], (target) => defaultHost(view, target));
    if (!this.#domains.follow(made)) return undefined;
    if (taken.some(({ domains }) => domains.some((domain) => this.#domains.has(domain)))) return undefined;
    return this.#order.of(this, made);
  }
}
