// One endpoint of a cluster. What the assignment says of it may change under it; its address (and with it its pools) does
// not, except for a logical DNS host, whose new connections follow the name.
import type { Address, Metadata, SocketAddress } from "../envoy/address.ts";
import type { EndpointHealthCheck, HealthStatus, Locality } from "../envoy/cluster/endpoint.ts";
import type { Pending } from "../identity/transport.ts";
import type { DialHandler, DialOptions, Host, HostResult, HttpPoolHandle } from "./cluster.ts";
import type { HostTransport } from "./transport-sockets.ts";
import type { HostHealth, PlacedHost } from "./lb/balancer.ts";
import type { Watched } from "./outlier/detector.ts";
import type { ActiveHealth } from "./health/active-health.ts";
import type { HostMonitor } from "./outlier/host-monitor.ts";

/** Where a host stands in its cluster's assignment; replaced whole by an update. */
export interface Placement {
  /** Further addresses of the same endpoint. */
  readonly additionalAddresses: readonly SocketAddress[];
  readonly hostname: string;
  readonly weight: number;
  readonly priority: number;
  readonly locality: Locality;
  readonly localityWeight: number;
  readonly metadata: Metadata;
  readonly health: HostHealth;
  /** What the assignment says, in its words. */
  readonly status: HealthStatus;
  readonly healthCheckConfig?: EndpointHealthCheck | undefined;
}

/** An endpoint with its address resolved. */
export interface ResolvedEndpoint extends Placement {
  readonly address: Address;
  readonly addressText: string;
}

/** What a dialer needs of a host. */
export interface DialTarget {
  readonly address: Address;
  readonly additionalAddresses: readonly SocketAddress[];
  readonly transport: HostTransport;
  readonly counts: HostCounts;
  lastFailure: string | undefined;
}

/** Opens connections for the hosts of a cluster. */
export interface Dialer {
  /** It was asked for a connection at least once. */
  readonly used: boolean;
  dial(host: DialTarget, options: DialOptions, handler: DialHandler): Pending;
}

/** Connection counts of one host, for admin. */
export interface HostCounts {
  cxTotal: number;
  cxActive: number;
  cxConnectFail: number;
}

/** A host of this worker. */
export class UpstreamHost implements Host, PlacedHost, Watched, DialTarget {
  readonly #dialer: Dialer;
  readonly transport: HostTransport;
  readonly counts: HostCounts = { cxTotal: 0, cxActive: 0, cxConnectFail: 0 };
  activeRequests = 0;
  /** Envoy's transport failure reason of the last attempt to connect; undefined when that worked. */
  lastFailure: string | undefined = undefined;
  pools: Map<string, HttpPoolHandle> | undefined = undefined;
  outlier: HostMonitor | undefined = undefined;
  /** When it was made, or passed its health checks again. */
  inUseSinceMs: number | undefined = undefined;
  /** Set while its cluster has health checks. */
  activeHealth: ActiveHealth | undefined = undefined;
  /** Left the assignment, and stays as long as it passes its health checks. */
  pendingRemoval = false;
  /** Who hears that a response asked for the host to be left out. */
  onPassiveFailure: ((host: UpstreamHost) => void) | undefined = undefined;
  #address: Address;
  #addressText: string;
  #placement: Placement;
  #removed = false;
  #failing = false;

  constructor(endpoint: ResolvedEndpoint, transport: HostTransport, dialer: Dialer) {
    this.#dialer = dialer;
    this.transport = transport;
    this.#address = endpoint.address;
    this.#addressText = endpoint.addressText;
    this.#placement = endpoint;
  }

  get address(): Address {
    return this.#address;
  }
  get addressText(): string {
    return this.#addressText;
  }
  get additionalAddresses(): readonly SocketAddress[] {
    return this.#placement.additionalAddresses;
  }
  get hostname(): string {
    return this.#placement.hostname;
  }
  get weight(): number {
    return this.#placement.weight;
  }
  get priority(): number {
    return this.#placement.priority;
  }
  get locality(): Locality {
    return this.#placement.locality;
  }
  get localityWeight(): number {
    return this.#placement.localityWeight;
  }
  get metadata(): Metadata {
    return this.#placement.metadata;
  }
  /** What the balancer goes by: the assignment's word, unless the host is ejected or its health checks say otherwise. */
  get health(): HostHealth {
    const { activeHealth } = this;
    if (this.ejected || activeHealth?.failed === true) return "unhealthy";
    const { health } = this.#placement;
    return activeHealth?.degraded === true && health === "healthy" ? "degraded" : health;
  }
  /** One word for all that is known of it, as sessions ask for it. */
  get status(): HealthStatus {
    const { activeHealth } = this;
    const { status, health } = this.#placement;
    if (this.ejected || activeHealth?.failed === true) return "UNHEALTHY";
    return activeHealth?.degraded === true && health === "healthy" ? "DEGRADED" : status;
  }
  get healthCheckConfig(): EndpointHealthCheck | undefined {
    return this.#placement.healthCheckConfig;
  }
  /** Shares of healthy hosts are counted without it. */
  get excluded(): boolean {
    return this.activeHealth?.leftOut === true;
  }
  /** What the assignment says. */
  get assignedHealth(): HostHealth {
    return this.#placement.health;
  }
  /** Outlier detection took it out of balancing. */
  get ejected(): boolean {
    return this.outlier?.ejected === true;
  }
  get activeConnections(): number {
    return this.counts.cxActive;
  }
  get healthy(): boolean {
    return this.health !== "unhealthy";
  }
  get removed(): boolean {
    return this.#removed;
  }

  /** The assignment says something new of this host. */
  place(placement: Placement): void {
    this.#placement = placement;
  }

  /** A logical DNS name moved: connections from now on go there. */
  moveTo(address: Address, addressText: string): void {
    this.#address = address;
    this.#addressText = addressText;
  }

  /** The host left its cluster: no new use, idle connections close. */
  remove(): void {
    if (this.#removed) return;
    this.#removed = true;
    this.outlier = undefined;
    this.activeHealth = undefined;
    this.onPassiveFailure = undefined;
    for (const pool of this.pools?.values() ?? []) pool.drain();
  }

  /**
   * Its health may have changed. Connections of a host that starts to fail carry no further requests: when it is the path to it
   * that is broken, new connections may take another.
   */
  onHealthChange(): void {
    const failing = this.ejected || this.activeHealth?.failed === true;
    if (failing && !this.#failing) {
      const pools = [...(this.pools?.values() ?? [])];
      this.pools = undefined;
      for (const pool of pools) pool.drain();
    }
    this.#failing = failing;
  }

  onResult(result: HostResult | number): void {
    this.outlier?.record(result);
  }

  onImmediateHealthCheckFail(): void {
    this.onPassiveFailure?.(this);
  }

  dial(options: DialOptions, handler: DialHandler): Pending {
    return this.#dialer.dial(this, options, handler);
  }
}

/** `ip:port`, IPv6 in brackets, or the path of a pipe: how Envoy prints an address. */
export function formatAddress(address: Address): string {
  if ("pipe" in address) return address.pipe;
  return address.address.includes(":") ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}
