// The choice of a host in a cluster: priority by load, then locality by weight, then a host by the cluster's policy. One
// balancer belongs to one list of hosts and is replaced whole when the list or a host's health changes.
import type { LbPolicy } from "../../envoy/cluster/cluster.ts";
import type { Locality } from "../../envoy/cluster/endpoint.ts";
import { remainder, type Hash64 } from "../../match/xxhash64.ts";
import type { Candidate, HostPicker, Random } from "./host-picker.ts";
import { createLocalityPicker } from "./locality-weights.ts";
import { createHostPicker, hashes } from "./policy.ts";
import { spreadLoad } from "./priority-load.ts";
import { createZonePicker, planZones, type ZoneContext, type ZonePlan } from "./zone-routing.ts";
import type { Counter } from "../../telemetry/stats.ts";

/** How a host is judged: degraded hosts get what healthy ones cannot take. */
export type HostHealth = "healthy" | "degraded" | "unhealthy";

/** A host with what its place in the assignment says. */
export interface PlacedHost extends Candidate {
  readonly health: HostHealth;
  readonly priority: number;
  readonly locality: Locality;
  /** load_balancing_weight of its locality; 0 = the locality gets no load when localities are weighted. */
  readonly localityWeight: number;
  /** Not counted among the hosts of its priority. */
  readonly excluded?: boolean;
}

/** Settings of one cluster. */
export interface BalancerOptions {
  readonly policy: LbPolicy;
  readonly localityWeighted: boolean;
  /** Percent. */
  readonly overprovisioningFactor: number;
  /** Percent. */
  readonly panicThreshold: number;
  /** In panic nobody serves, in place of everybody. */
  readonly failInPanic?: boolean;
  /** For slow start, which goes by when hosts came into use. */
  readonly nowMs?: () => number;
  /** Where there is a local cluster. */
  readonly zones?: ZoneContext | undefined;
  /** What a host's locality weighs, where that is not what the assignment says. */
  readonly localityWeightOf?: ((host: PlacedHost) => number) | undefined;
  /** Makes `lb_healthy_panic`, which counts picks in a priority that panics. */
  readonly panics?: () => Counter;
}

/** What a pick may look at. */
export interface PickRequest<H> {
  readonly hash: Hash64 | undefined;
  readonly avoid: ReadonlySet<H> | undefined;
  readonly avoidAttempts: number;
}

/** Chooses hosts; undefined when no host may be used. */
export interface Balancer<H> {
  pick(request: PickRequest<H>): H | undefined;
}

/** Builds a balancer over `hosts`. */
export function createBalancer<H extends PlacedHost>(hosts: readonly H[], options: BalancerOptions, random: Random): Balancer<H> {
  // Priority 0 is there without hosts, too, and panics.
  const byPriority = Array.from({ length: Math.max(1, ...hosts.map((host) => host.priority + 1)) }, (_, priority) =>
    hosts.filter((host) => host.priority === priority),
  );
  const load = spreadLoad(
    byPriority.map((members) => ({
      total: members.filter((host) => host.excluded !== true).length,
      healthy: members.filter((host) => host.health === "healthy").length,
      degraded: members.filter((host) => host.health === "degraded").length,
    })),
    options.overprovisioningFactor,
    options.panicThreshold,
  );
  const { zones, policy } = options;
  // Zones count in the first priority alone, as in Envoy.
  const plan = zones === undefined || hashes(policy) ? undefined : planZones(byPriority[0] ?? [], zones);
  const choices: Choice<H>[] = [];
  const add = (percent: number, p: number, members: readonly H[], whenFit: HostHealth): void => {
    if (percent === 0) return;
    const panics = load.panic[p] === true ? options.panics?.() : undefined;
    const health = load.panic[p] === true ? "any" : whenFit;
    const nobody = health === "any" && options.failInPanic === true;
    const picker = nobody ? undefined : createGroupPicker(members, health, options, p === 0 ? plan : undefined, random);
    choices.push({ percent, picker, panics });
  };
  byPriority.forEach((members, p) => add(load.healthy[p] ?? 0, p, members, "healthy"));
  byPriority.forEach((members, p) => add(load.degraded[p] ?? 0, p, members, "degraded"));
  return new PriorityBalancer(choices, random);
}

/** A share of the load and who serves it; nobody when the hosts that should are missing. */
interface Choice<H> {
  readonly percent: number;
  readonly picker: HostPicker<H | undefined> | undefined;
  /** Set where health is ignored. */
  readonly panics: Counter | undefined;
}

class PriorityBalancer<H> implements Balancer<H> {
  readonly #choices: readonly Choice<H>[];
  readonly #random: Random;

  constructor(choices: readonly Choice<H>[], random: Random) {
    this.#choices = choices;
    this.#random = random;
  }

  pick(request: PickRequest<H>): H | undefined {
    const { avoid } = request;
    const attempts = avoid === undefined || avoid.size === 0 ? 0 : request.avoidAttempts;
    for (let attempt = 0; ; attempt++) {
      const choice = this.#choose(request.hash);
      choice?.panics?.inc();
      const host = choice?.picker?.pick(request.hash, attempt);
      // host_selection_retry_max_attempts used up: the last one found is better than none (Envoy).
      if (host === undefined || attempt >= attempts || !avoid?.has(host)) return host;
    }
  }

  #choose(hash: Hash64 | undefined): Choice<H> | undefined {
    const choices = this.#choices;
    if (choices.length < 2) return choices[0];
    // The same hash has to end in the same priority, or it could not end on the same host.
    let drawn = hash === undefined ? Math.floor(this.#random() * 100) : remainder(hash, 100);
    for (const choice of choices) {
      if (drawn < choice.percent) return choice;
      drawn -= choice.percent;
    }
    return choices[choices.length - 1];
  }
}

function createGroupPicker<H extends PlacedHost>(
  members: readonly H[],
  health: HostHealth | "any",
  options: BalancerOptions,
  plan: ZonePlan<H> | undefined,
  random: Random,
): HostPicker<H | undefined> | undefined {
  const usable = health === "any" ? members : members.filter((host) => host.health === health);
  if (usable.length === 0) return undefined;
  const { policy, nowMs, zones } = options;
  const pickerOf = (hosts: readonly H[]): HostPicker<H> => createHostPicker(policy, hosts, random, nowMs);
  if (health === "any") return pickerOf(usable);
  if (options.localityWeighted) {
    const weighted = createLocalityPicker(members, health, options, random);
    if (weighted !== undefined || hashes(policy)) return weighted;
  }
  if (plan === undefined || zones === undefined) return pickerOf(usable);
  const pickers = plan.zones.map((zone) => {
    const hosts = zone.filter((host) => host.health === health);
    return hosts.length === 0 ? undefined : pickerOf(hosts);
  });
  return createZonePicker(plan, { zones: pickers, everywhere: pickerOf(usable) }, zones, options.panicThreshold, random);
}
