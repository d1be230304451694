// The balancers of one version of a cluster: one over all hosts or one for each subset asked for, built by the first pick after
// a change. Most clusters of a sidecar never see a pick, and none needs a balancer per update.
import type { Cluster } from "../envoy/cluster/cluster.ts";
import { defaultZoneAware } from "../envoy/cluster/zone-aware.ts";
import type { LbSubset } from "../envoy/cluster/lb-subset.ts";
import type { Counter, StatsScope } from "../telemetry/stats.ts";
import type { Host, LbContext } from "./cluster.ts";
import type { UpstreamHost } from "./host.ts";
import { createBalancer, type Balancer, type BalancerOptions, type PlacedHost } from "./lb/balancer.ts";
import { createSubsetStats, createZoneStats, type SubsetStats, type ZoneStats } from "./lb/lb-stats.ts";
import { scaledWeights } from "./lb/locality-weights.ts";
import { subsetChoices, type SubsetChoice } from "./lb/subsets.ts";
import type { ZoneContext } from "./lb/zone-routing.ts";

/** What the balancers of a cluster are made with. */
export interface BalancingDeps {
  /** Numbers in [0, 1). */
  readonly random: () => number;
  readonly nowMs: () => number;
  /** The cluster's scope. */
  readonly scope: StatsScope;
  /** Hosts of the local cluster; undefined where there is none. */
  readonly localHosts: () => readonly PlacedHost[] | undefined;
}

interface Step {
  readonly balancer: Pick<Balancer<Host>, "pick">;
  /** Counts a pick; by a selector also one that finds nobody. */
  readonly counter: Counter | undefined;
  readonly always: boolean;
}

/** Chooses hosts for one version of a cluster. */
export class Balancing {
  readonly #model: Cluster;
  readonly #deps: BalancingDeps;
  #hosts: readonly UpstreamHost[] = [];
  #overprovisioningFactor = 140;
  #balancer: Balancer<Host> | undefined;
  #subsets = new WeakMap<object, readonly Step[]>();
  #panics: Counter | undefined;
  #zoneStats: ZoneStats | undefined;
  #subsetStats: SubsetStats | undefined;

  constructor(model: Cluster, deps: BalancingDeps) {
    this.#model = model;
    this.#deps = deps;
  }

  /** Hosts, their health or those of the local cluster changed. */
  reset(hosts: readonly UpstreamHost[], overprovisioningFactor: number): void {
    this.#hosts = hosts;
    this.#overprovisioningFactor = overprovisioningFactor;
    this.#balancer = undefined;
    this.#subsets = new WeakMap();
  }

  /** A host, or undefined when nobody may serve. */
  pick(context: LbContext): Host | undefined {
    const { lbSubset } = this.#model;
    if (lbSubset === undefined) return (this.#balancer ??= this.#build(this.#hosts, this.#model.localityWeightedLb)).pick(context);
    for (const step of this.#steps(lbSubset, context.metadataMatch)) {
      const host = step.balancer.pick(context);
      if (host !== undefined || step.always) step.counter?.inc();
      if (host !== undefined) return host;
    }
    return undefined;
  }

  // Routes hold their metadata match as one object, so its identity is key enough; new hosts start a new map.
  #steps(config: LbSubset, match: LbContext["metadataMatch"]): readonly Step[] {
    let steps = this.#subsets.get(match);
    if (steps === undefined) {
      steps = subsetChoices(config, this.#hosts, match).map((choice) => this.#step(config, choice));
      this.#subsets.set(match, steps);
    }
    return steps;
  }

  #step(config: LbSubset, { hosts, by, single }: SubsetChoice<UpstreamHost>): Step {
    const stats = (this.#subsetStats ??= createSubsetStats(this.#deps.scope));
    const counters = { selector: stats.selected, fallback: stats.fallback, panic: stats.fallbackPanic, selector_fallback: undefined };
    const [only] = hosts;
    return {
      balancer: single === true && only !== undefined ? { pick: () => only } : this.#subset(config, hosts),
      counter: counters[by],
      always: by === "selector",
    };
  }

  #subset(config: LbSubset, hosts: readonly UpstreamHost[]): Balancer<Host> {
    // Within a subset the weights of localities are off unless asked for.
    const weighted = this.#model.localityWeightedLb && config.localityWeightAware === true;
    return this.#build(hosts, weighted, config.scaleLocalityWeight === true ? scaledWeights(hosts, this.#hosts) : undefined);
  }

  #build(
    hosts: readonly UpstreamHost[],
    localityWeighted: boolean,
    localityWeightOf?: BalancerOptions["localityWeightOf"],
  ): Balancer<Host> {
    const { lbPolicy, healthyPanicThreshold, zoneAware } = this.#model;
    const { nowMs, random, scope } = this.#deps;
    const options: BalancerOptions = {
      policy: lbPolicy,
      localityWeighted,
      overprovisioningFactor: this.#overprovisioningFactor,
      panicThreshold: healthyPanicThreshold,
      failInPanic: zoneAware?.failTrafficOnPanic === true,
      nowMs,
      zones: this.#zones(),
      localityWeightOf,
      panics: () => (this.#panics ??= scope.counter("lb_healthy_panic")),
    };
    return createBalancer(hosts, options, random);
  }

  #zones(): ZoneContext | undefined {
    const { localZone, zoneAware, name } = this.#model;
    // The local cluster itself is no place to go by zone, as in Envoy.
    if (localZone === undefined || localZone.cluster === name) return undefined;
    const localHosts = this.#deps.localHosts();
    if (localHosts === undefined) return undefined;
    const stats = (this.#zoneStats ??= createZoneStats(this.#deps.scope));
    const { locality } = localZone;
    return { settings: zoneAware ?? defaultZoneAware, locality, localHosts: localHosts.filter(({ priority }) => priority === 0), stats };
  }
}
