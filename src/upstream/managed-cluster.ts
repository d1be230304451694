// A cluster as it serves: its hosts, its balancer and its counts. One object per version of the cluster's configuration;
// what outlives a version (hosts, counts, DNS answers) is handed to the next.
import { isDeepStrictEqual } from "node:util";
import type { Clock, Timer } from "../clock.ts";
import type { Metadata } from "../envoy/address.ts";
import type { Cluster } from "../envoy/cluster/cluster.ts";
import type { HealthStatus } from "../envoy/cluster/endpoint.ts";
import type { HealthCheck } from "../envoy/cluster/health-check.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Counter, Gauge, StatsScope } from "../telemetry/stats.ts";
import { Balancing } from "./balancing.ts";
import type { ClusterStats, Host, LbContext, UpstreamCluster } from "./cluster.ts";
import { OriginalDstHosts } from "./discovery/original-dst.ts";
import { HealthChecker } from "./health/checker.ts";
import { UpstreamHost } from "./host.ts";
import type { Dialer, ResolvedEndpoint } from "./host.ts";
import type { PlacedHost } from "./lb/balancer.ts";
import { slowStartLeftMs } from "./lb/slow-start.ts";
import { OutlierDetector } from "./outlier/detector.ts";
import type { HostTransport } from "./transport-sockets.ts";

/** What belongs to a cluster's name rather than to a version of it. */
export interface ClusterIdentity {
  readonly scope: StatsScope;
  readonly resources: UpstreamCluster["resources"];
  /** Made on first use. */
  readonly stats: () => ClusterStats;
}

/** How new hosts are reached. Compared by identity: hosts of an equal profile are carried over. */
export interface HostProfile {
  readonly dialer: Dialer;
  /** For connections of the proxy's own, which count nowhere. */
  readonly ownDialer: Dialer;
  readonly transportOf: (metadata: Metadata) => HostTransport;
}

/** What a cluster is given. */
export interface ManagedClusterDeps {
  readonly clock: Clock;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  /** The hosts of another cluster; undefined when there is none of that name. */
  readonly hostsOf?: (cluster: string) => readonly PlacedHost[] | undefined;
  /** The hosts of the local cluster, or their health, changed. */
  readonly onLocalHosts?: (cluster: ManagedCluster) => void;
}

const servingStates: readonly HealthStatus[] = ["UNKNOWN", "HEALTHY", "DEGRADED"];

/** One version of a cluster. */
export class ManagedCluster implements UpstreamCluster {
  readonly name: string;
  readonly model: Cluster;
  readonly resources: UpstreamCluster["resources"];
  readonly #identity: ClusterIdentity;
  readonly #profile: HostProfile;
  readonly #random: () => number;
  readonly #clock: Clock;
  #slowStart: Timer | undefined;
  readonly #changes: Counter;
  readonly #total: Gauge;
  readonly #healthy: Gauge;
  readonly #degraded: Gauge;
  readonly #excluded: Gauge | undefined;
  #stats: ClusterStats | undefined;
  #hosts: readonly UpstreamHost[] = [];
  readonly #outliers: OutlierDetector | undefined;
  readonly #checker: HealthChecker | undefined;
  #onDemand: OriginalDstHosts | undefined;
  readonly #balancing: Balancing;
  readonly #onLocalHosts: (() => void) | undefined;
  #byAddress: ReadonlyMap<string, UpstreamHost> | undefined;
  #overprovisioningFactor = 140;
  #dropShare = 0;

  constructor(model: Cluster, identity: ClusterIdentity, profile: HostProfile, deps: ManagedClusterDeps) {
    const { random, clock } = deps;
    this.name = model.name;
    this.model = model;
    this.resources = identity.resources;
    this.resources.default.limit(model.circuitBreakers.default);
    this.resources.high.limit(model.circuitBreakers.high);
    this.#identity = identity;
    this.#profile = profile;
    this.#random = random;
    this.#clock = clock;
    this.#changes = identity.scope.counter("membership_change");
    this.#total = identity.scope.gauge("membership_total");
    this.#healthy = identity.scope.gauge("membership_healthy");
    this.#degraded = identity.scope.gauge("membership_degraded");
    this.#excluded = model.healthCheck === undefined ? undefined : identity.scope.gauge("membership_excluded");
    const { cluster: local } = model.localZone ?? {};
    this.#onLocalHosts = local === model.name ? () => deps.onLocalHosts?.(this) : undefined;
    this.#balancing = new Balancing(model, {
      random,
      nowMs: () => clock.nowMs(),
      scope: identity.scope,
      localHosts: () => (local === undefined ? undefined : deps.hostsOf?.(local)),
    });
    this.#outliers =
      model.outlierDetection === undefined
        ? undefined
        : new OutlierDetector(model.outlierDetection, { clock, random, scope: identity.scope, onChange: () => this.#rebalance() });
    this.#checker = model.healthCheck === undefined ? undefined : this.#createChecker(model.healthCheck, deps);
  }

  get stats(): ClusterStats {
    return (this.#stats ??= this.#identity.stats());
  }

  hosts(): readonly UpstreamHost[] {
    return this.#onDemand === undefined ? this.#hosts : this.#onDemand.list();
  }

  pick(context: LbContext): Host | undefined {
    if (this.#onDemand !== undefined) return this.#onDemand.pick(context);
    if (this.#dropShare > 0 && this.#random() < this.#dropShare) {
      this.#identity.scope.counter("upstream_rq_drop_overload").inc();
      return undefined;
    }
    const { overrideHost } = context;
    if (overrideHost !== undefined) {
      const asked = this.#named(overrideHost.address);
      if (asked !== undefined || overrideHost.strict) return asked;
    }
    return this.#balancing.pick(context);
  }

  /** The hosts of the local cluster, or their health, changed. */
  onLocalHostsChanged(): void {
    this.#balancing.reset(this.#hosts, this.#overprovisioningFactor);
  }

  /** Takes the hosts of the version before over, when they are reached the same way. */
  adopt(hosts: readonly UpstreamHost[]): void {
    this.#replace(hosts, true);
  }

  /** The endpoints changed. Hosts whose address and transport stay keep their identity, and with it their pools. */
  setEndpoints(endpoints: readonly ResolvedEndpoint[], overprovisioningFactor: number, dropShare: number): void {
    this.#overprovisioningFactor = overprovisioningFactor;
    this.#dropShare = dropShare;
    const unclaimed = Map.groupBy(this.#hosts, (host) => host.addressText);
    const next = endpoints.map((endpoint) => this.#claim(unclaimed, endpoint) ?? this.createHost(endpoint));
    for (const left of unclaimed.values()) {
      for (const host of left) {
        host.pendingRemoval = this.#staysWhileHealthy(host);
        if (host.pendingRemoval) next.push(host);
        else host.remove();
      }
    }
    this.#replace(next);
  }

  /** Calls `fire` once every host has been checked; at once without health checks. */
  whenChecked(fire: () => void): void {
    if (this.#checker === undefined) fire();
    else this.#checker.whenChecked(fire);
  }

  // Whoever says that the host is gone may be wrong; its own answers are not (Envoy's rule).
  #staysWhileHealthy(host: UpstreamHost): boolean {
    if (this.#checker === undefined || this.model.ignoreHealthOnHostRemoval === true || this.model.type === "LOGICAL_DNS") return false;
    return host.activeHealth?.failed === false && host.assignedHealth !== "unhealthy";
  }

  /** The one host of a logical DNS name; its connections stay when the name moves. */
  setLogicalEndpoint(endpoint: ResolvedEndpoint | undefined): void {
    const host = this.#hosts[0];
    if (endpoint !== undefined && host !== undefined) host.moveTo(endpoint.address, endpoint.addressText);
    this.setEndpoints(endpoint === undefined ? [] : [endpoint], this.#overprovisioningFactor, 0);
  }

  /** Makes a host that belongs to this cluster. */
  createHost(endpoint: ResolvedEndpoint): UpstreamHost {
    const host = new UpstreamHost(endpoint, this.#profile.transportOf(endpoint.metadata), this.#profile.dialer);
    host.inUseSinceMs = this.#clock.nowMs();
    return host;
  }

  /** Hosts are made as connections ask for them (ORIGINAL_DST). */
  serveOnDemand(clock: Clock): void {
    this.#onDemand = new OriginalDstHosts(
      this.model.originalDst,
      clock,
      (endpoint) => this.createHost(endpoint),
      (total) => {
        this.#total.set(total);
        this.#healthy.set(total);
      },
    );
  }

  /** The cluster, or this version of it, is gone. Hosts that another version adopted stay untouched. */
  close(adopted: boolean): void {
    this.#onDemand?.close();
    if (!adopted) {
      for (const host of this.#hosts) host.remove();
      this.#replace([]);
    }
    this.#outliers?.close();
    this.#slowStart?.cancel();
    this.#checker?.close(adopted);
  }

  // The same address may be listed more than once (a gateway that stands for several localities): nearest place first.
  #claim(unclaimed: Map<string, UpstreamHost[]>, endpoint: ResolvedEndpoint): UpstreamHost | undefined {
    const sameAddress = unclaimed.get(endpoint.addressText);
    if (sameAddress === undefined || sameAddress.length === 0) return undefined;
    const transport = this.#profile.transportOf(endpoint.metadata);
    const usable = sameAddress.filter((host) => host.transport === transport);
    const host =
      usable.find((one) => one.priority === endpoint.priority && isDeepStrictEqual(one.locality, endpoint.locality)) ?? usable[0];
    if (host === undefined) return undefined;
    sameAddress.splice(sameAddress.indexOf(host), 1);
    host.pendingRemoval = false;
    host.place(endpoint);
    return host;
  }

  #createChecker(settings: HealthCheck, { clock, random, logger }: ManagedClusterDeps): HealthChecker {
    const { dialer, ownDialer, transportOf } = this.#profile;
    return new HealthChecker(this.model, settings, {
      clock,
      random,
      logger,
      scope: this.#identity.scope,
      dialer: ownDialer,
      transportOf,
      hasTraffic: () => dialer.used,
      onChange: (host) => this.#onHealthChange(host),
      onPassed: (host) => this.#outliers?.onHealthy(host.outlier),
    });
  }

  #onHealthChange(host: UpstreamHost): void {
    if (host.health !== "unhealthy") host.inUseSinceMs = this.#clock.nowMs();
    if (!host.pendingRemoval || host.health !== "unhealthy") return this.#rebalance();
    host.remove();
    this.#replace(this.#hosts.filter((other) => other !== host));
  }

  #replace(hosts: readonly UpstreamHost[], served = false): void {
    for (let changed = changedPriorities(this.#hosts, hosts); changed > 0; changed--) this.#changes.inc();
    this.#hosts = hosts;
    if (this.#outliers !== undefined) this.#outliers.watch(hosts);
    // Nobody would readmit what a version before this one ejected.
    else for (const host of hosts) host.outlier = undefined;
    const checker = this.#checker;
    const onPassiveFailure = checker === undefined ? undefined : (host: UpstreamHost): void => checker.failPassively(host);
    for (const host of hosts) {
      host.onPassiveFailure = onPassiveFailure;
      if (checker === undefined) host.activeHealth = undefined;
    }
    checker?.watch(hosts, served);
    this.#total.set(hosts.length);
    this.#rebalance();
  }

  /** Hosts or their health changed. */
  #rebalance(): void {
    const hosts = this.#hosts;
    for (const host of hosts) host.onHealthChange();
    this.#balancing.reset(hosts, this.#overprovisioningFactor);
    this.#awaitSlowStart();
    this.#byAddress = undefined;
    this.#healthy.set(hosts.filter((host) => host.health === "healthy").length);
    this.#degraded.set(hosts.filter((host) => host.health === "degraded").length);
    this.#excluded?.set(hosts.filter((host) => host.excluded).length);
    this.#onLocalHosts?.();
  }

  // As in Envoy whoever has the address and an allowed state, whatever its priority or subset.
  #named(address: string): Host | undefined {
    this.#byAddress ??= new Map(this.#hosts.map((host) => [host.addressText, host]));
    const host = this.#byAddress.get(address);
    return host !== undefined && (this.model.overrideHostStatus ?? servingStates).includes(host.status) ? host : undefined;
  }

  // While hosts are in slow start their weights change; afterwards the cheaper pickers do.
  #awaitSlowStart(): void {
    const { lbPolicy } = this.model;
    if (this.#slowStart !== undefined || !("slowStart" in lbPolicy) || lbPolicy.slowStart === undefined) return;
    const leftMs = slowStartLeftMs(lbPolicy.slowStart, this.#hosts, this.#clock.nowMs());
    if (leftMs === 0) return;
    this.#slowStart = this.#clock.after(leftMs, () => {
      this.#slowStart = undefined;
      this.#rebalance();
    });
  }
}

/** How many priorities have other hosts than before; each counts as a change of its own (Envoy). */
function changedPriorities(before: readonly UpstreamHost[], after: readonly UpstreamHost[]): number {
  const [old, kept] = [new Set(before), new Set(after)];
  const changed = new Set<number>();
  for (const host of before) if (!kept.has(host)) changed.add(host.priority);
  for (const host of after) if (!old.has(host)) changed.add(host.priority);
  return changed.size;
}
