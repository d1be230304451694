// The clusters of one worker: made, changed and removed by publishes, looked up by name per request. Owns discovery and the
// carrying over of what outlives a change; what a cluster does with its hosts is managed-cluster.ts.
import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../clock.ts";
import type { Cluster } from "../envoy/cluster/cluster.ts";
import type { ClusterLoadAssignment } from "../envoy/cluster/endpoint.ts";
import type { UpstreamTlsContext } from "../envoy/tls/tls.ts";
import type { ClientTransport, Pending } from "../identity/transport.ts";
import type { DescriptorGuard } from "../net/descriptor-guard.ts";
import type { ResourceUpdate, Versioned } from "../snapshot/update.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { StatsScope } from "../telemetry/stats.ts";
import { CircuitBreakers } from "./circuit-breakers.ts";
import { describeCluster } from "./cluster-description.ts";
import type { ClusterDescription } from "./cluster-description.ts";
import { unrecorded } from "../telemetry/unrecorded.ts";
import { clusterScope, createClusterStats } from "./cluster-stats.ts";
import type { ClusterLookup, ClusterStats, UpstreamCluster } from "./cluster.ts";
import { ClusterDialer } from "./dial.ts";
import { DnsDiscovery } from "./discovery/dns-discovery.ts";
import { createSystemLookup } from "./discovery/host-lookup.ts";
import type { HostLookup } from "./discovery/host-lookup.ts";
import { flattenAssignment } from "./discovery/resolved-endpoints.ts";
import { ManagedCluster } from "./managed-cluster.ts";
import type { ClusterIdentity, HostProfile } from "./managed-cluster.ts";
import { compileTransportSockets } from "./transport-sockets.ts";

/** What the clusters of a worker are given. */
export interface ClusterManagerDeps {
  readonly clock: Clock;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  /** The root scope. */
  readonly stats: StatsScope;
  /** @param stats the cluster's scope, for its `ssl.*` stats */
  readonly createClientTransport: (tls: UpstreamTlsContext, stats: StatsScope) => ClientTransport;
  /** Hears of connections that failed for want of a descriptor. */
  readonly descriptors?: DescriptorGuard;
  /** Default: this system's resolver. */
  readonly lookupHost?: HostLookup;
}

const noStats = createClusterStats(unrecorded);

interface Entry {
  readonly version: string;
  readonly cluster: ManagedCluster;
  readonly identity: ClusterIdentity;
  readonly profile: HostProfile;
  readonly discovery: DnsDiscovery | undefined;
}

/** All clusters of a worker. */
export class ClusterManager implements ClusterLookup {
  readonly #deps: ClusterManagerDeps;
  readonly #lookupHost: HostLookup;
  readonly #entries = new Map<string, Entry>();
  readonly #assignments = new Map<string, Versioned<ClusterLoadAssignment>>();
  /** EDS service names to the clusters that listen to them. */
  readonly #listening = new Map<string, Set<string>>();
  readonly #warming = new Set<ManagedCluster>();
  #waitingForWarm: { readonly names: readonly string[]; readonly fire: () => void }[] = [];

  constructor(deps: ClusterManagerDeps) {
    this.#deps = deps;
    this.#lookupHost = deps.lookupHost ?? createSystemLookup();
  }

  /** Applies one publish: assignments first, so that a new cluster finds its endpoints. Resources of an equal version are left alone. */
  apply(clusters: ResourceUpdate<Cluster>, endpoints: ResourceUpdate<ClusterLoadAssignment>): void {
    const changed = new Set<string>();
    for (const assignment of endpoints.set) {
      if (this.#assignments.get(assignment.name)?.version === assignment.version) continue;
      this.#assignments.set(assignment.name, assignment);
      changed.add(assignment.name);
    }
    for (const name of endpoints.removed) if (this.#assignments.delete(name)) changed.add(name);

    const counts = this.#deps.stats.scope("cluster_manager");
    for (const name of clusters.removed) {
      const entry = this.#entries.get(name);
      if (entry === undefined) continue;
      this.#entries.delete(name);
      this.#end(entry, false);
      counts.counter("cluster_removed").inc();
    }
    const made = new Set<string>();
    for (const cluster of clusters.set) {
      const before = this.#entries.get(cluster.name);
      if (before?.version === cluster.version) continue;
      counts.counter(before === undefined ? "cluster_added" : "cluster_modified").inc();
      this.#set(cluster, before);
      made.add(cluster.name);
    }
    for (const service of changed)
      for (const name of this.#listening.get(service) ?? []) if (!made.has(name)) this.#assign(this.#entries.get(name)?.cluster);
    counts.gauge("active_clusters").set(this.#entries.size);
    counts.gauge("warming_clusters").set(this.#warming.size);
  }

  get(name: string): UpstreamCluster | undefined {
    return this.#entries.get(name)?.cluster;
  }

  /** All clusters, for admin. */
  list(): readonly UpstreamCluster[] {
    return [...this.#entries.values()].map((entry) => entry.cluster);
  }

  /** Plain data per cluster and host, for `/clusters`. */
  describe(): readonly ClusterDescription[] {
    return [...this.#entries.values()].map((entry) => describeCluster(entry.cluster));
  }

  /** Calls `fire` once every host name of these clusters was looked up, successfully or not; before it returns never. */
  whenWarm(names: readonly string[], fire: () => void): Pending {
    const waiting = { names, fire };
    this.#waitingForWarm.push(waiting);
    queueMicrotask(() => this.#fireWarm());
    return { cancel: () => (this.#waitingForWarm = this.#waitingForWarm.filter((other) => other !== waiting)) };
  }

  /** Ends discovery and drains every host. */
  close(): void {
    for (const entry of this.#entries.values()) this.#end(entry, false);
    this.#entries.clear();
  }

  #set({ value: model, version }: Versioned<Cluster>, before: Entry | undefined): void {
    const old = before?.cluster.model;
    const sameReach = old !== undefined && isDeepStrictEqual(reachOf(old), reachOf(model));
    const identity = before !== undefined && old?.altStatName === model.altStatName ? before.identity : this.#identify(model);
    const profile =
      before !== undefined && sameReach && identity === before.identity ? before.profile : this.#createProfile(model, identity);
    const cluster = new ManagedCluster(model, identity, profile, {
      ...this.#deps,
      hostsOf: (name) => this.#entries.get(name)?.cluster.hosts(),
      onLocalHosts: (local) => this.#localHostsChanged(local),
    });
    const adopts = before !== undefined && profile === before.profile && model.type !== "ORIGINAL_DST";
    if (adopts) cluster.adopt(before.cluster.hosts());
    if (before !== undefined) this.#end(before, adopts);
    const discovery = this.#discover(cluster, before?.discovery);
    this.#entries.set(model.name, { version, cluster, identity, profile, discovery });
    if (model.type === "EDS") {
      const listeners = this.#listening.get(model.edsServiceName) ?? new Set();
      this.#listening.set(model.edsServiceName, listeners.add(model.name));
    }
    discovery?.start();
  }

  #localHostsChanged(local: ManagedCluster): void {
    for (const { cluster } of this.#entries.values()) if (cluster !== local) cluster.onLocalHostsChanged();
  }

  #discover(cluster: ManagedCluster, before: DnsDiscovery | undefined): DnsDiscovery | undefined {
    const { model } = cluster;
    if (model.type === "ORIGINAL_DST") cluster.serveOnDemand(this.#deps.clock);
    if (model.type === "EDS" || model.type === "STATIC") {
      this.#assign(cluster);
      this.#awaitChecks(cluster);
    }
    if (model.type !== "STRICT_DNS" && model.type !== "LOGICAL_DNS") return undefined;
    const { clock, random, stats } = this.#deps;
    this.#warming.add(cluster);
    return new DnsDiscovery(
      model,
      before?.answers ?? new Map(),
      { clock, random, lookupHost: this.#lookupHost, stats: () => clusterScope(stats, model.name, model.altStatName) },
      (endpoints) => {
        if (model.type === "LOGICAL_DNS") cluster.setLogicalEndpoint(endpoints[0]);
        else cluster.setEndpoints(endpoints, model.loadAssignment?.overprovisioningFactor ?? 140, model.loadAssignment?.dropShare ?? 0);
      },
      () => cluster.whenChecked(() => this.#warmed(cluster)),
    );
  }

  // As in Envoy a cluster is there once its hosts have been checked, or there would be nobody to send the first requests to.
  #awaitChecks(cluster: ManagedCluster): void {
    if (cluster.model.healthCheck === undefined) return;
    this.#warming.add(cluster);
    cluster.whenChecked(() => this.#warmed(cluster));
  }

  #assign(cluster: ManagedCluster | undefined): void {
    if (cluster === undefined) return;
    const { model } = cluster;
    const assignment = model.type === "EDS" ? this.#assignments.get(model.edsServiceName)?.value : model.loadAssignment;
    cluster.setEndpoints(flattenAssignment(assignment), assignment?.overprovisioningFactor ?? 140, assignment?.dropShare ?? 0);
  }

  #identify(model: Cluster): ClusterIdentity {
    const scope = clusterScope(this.#deps.stats, model.name, model.altStatName);
    const { circuitBreakers } = model;
    const resources = { default: new CircuitBreakers(circuitBreakers.default), high: new CircuitBreakers(circuitBreakers.high) };
    let stats: ClusterStats | undefined;
    const createStats = (): ClusterStats => {
      const below = scope.scope("circuit_breakers");
      for (const priority of ["default", "high"] as const) resources[priority].showIn(below.scope(priority));
      return createClusterStats(scope);
    };
    return { scope, resources, stats: () => (stats ??= createStats()) };
  }

  #createProfile(model: Cluster, identity: ClusterIdentity): HostProfile {
    return {
      dialer: new ClusterDialer(model, this.#deps.clock, identity.stats, this.#deps.descriptors),
      ownDialer: new ClusterDialer(model, this.#deps.clock, () => noStats, this.#deps.descriptors),
      transportOf: compileTransportSockets(model, (tls) => this.#deps.createClientTransport(tls, identity.scope)),
    };
  }

  #end(entry: Entry, adopted: boolean): void {
    const { model } = entry.cluster;
    entry.discovery?.stop();
    this.#warmed(entry.cluster);
    entry.cluster.close(adopted);
    const listeners = this.#listening.get(model.edsServiceName);
    if (listeners?.delete(model.name) === true && listeners.size === 0) this.#listening.delete(model.edsServiceName);
  }

  #warmed(cluster: ManagedCluster): void {
    if (!this.#warming.delete(cluster)) return;
    this.#deps.stats.scope("cluster_manager").gauge("warming_clusters").set(this.#warming.size);
    this.#fireWarm();
  }

  #fireWarm(): void {
    const isWarm = (name: string): boolean => {
      const cluster = this.#entries.get(name)?.cluster;
      return cluster === undefined || !this.#warming.has(cluster);
    };
    const due = this.#waitingForWarm.filter(({ names }) => names.every(isWarm));
    if (due.length === 0) return;
    this.#waitingForWarm = this.#waitingForWarm.filter((waiting) => !due.includes(waiting));
    for (const { fire } of due) fire();
  }
}

// Everything that open and future connections of a cluster depend on. While it stays, hosts and their pools live on.
function reachOf(model: Cluster): unknown {
  return [
    model.transportSocket,
    model.transportSocketMatches,
    model.connectTimeoutMs,
    model.sourceAddress,
    model.extraSourceAddresses,
    model.tcpKeepalive,
    model.http,
    model.circuitBreakers,
    model.perConnectionBufferLimitBytes,
  ];
}
