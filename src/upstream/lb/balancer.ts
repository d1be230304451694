// The choice of a host in a cluster: priority by load, then locality by weight, then a host by the cluster's policy. One
// balancer belongs to one list of hosts and is replaced whole when the list or a host's health changes.
import type { LbPolicy } from "../../envoy/cluster/cluster.ts";
import type { Locality } from "../../envoy/cluster/endpoint.ts";
import type { Metadata } from "../../envoy/address.ts";
import { remainder, type Hash64 } from "../../match/xxhash64.ts";
import { EdfSchedule } from "./edf.ts";
import type { Candidate, HostPicker, Random } from "./host-picker.ts";
import { createHostPicker } from "./policy.ts";
import { spreadLoad } from "./priority-load.ts";

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
  const byPriority = Array.from({ length: Math.max(0, ...hosts.map((host) => host.priority + 1)) }, (_, priority) =>
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
  const choices: Choice<H>[] = [];
  const add = (percent: number, members: readonly H[], health: HostHealth | "any"): void => {
    if (percent === 0) return;
    const nobody = health === "any" && options.failInPanic === true;
    choices.push({ percent, picker: nobody ? undefined : createGroupPicker(members, health, options, random) });
  };
  byPriority.forEach((members, p) => add(load.healthy[p] ?? 0, members, load.panic[p] === true ? "any" : "healthy"));
  byPriority.forEach((members, p) => add(load.degraded[p] ?? 0, members, load.panic[p] === true ? "any" : "degraded"));
  return new PriorityBalancer(choices, random);
}

/** A share of the load and who serves it; nobody when the hosts that should are missing. */
interface Choice<H> {
  readonly percent: number;
  readonly picker: HostPicker<H> | undefined;
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
      const host = this.#choose(request.hash)?.pick(request.hash, attempt);
      // host_selection_retry_max_attempts used up: the last one found is better than none (Envoy).
      if (host === undefined || attempt >= attempts || !avoid?.has(host)) return host;
    }
  }

  #choose(hash: Hash64 | undefined): HostPicker<H> | undefined {
    const choices = this.#choices;
    if (choices.length < 2) return choices[0]?.picker;
    // The same hash has to end in the same priority, or it could not end on the same host.
    let drawn = hash === undefined ? Math.floor(this.#random() * 100) : remainder(hash, 100);
    for (const choice of choices) {
      if (drawn < choice.percent) return choice.picker;
      drawn -= choice.percent;
    }
    return choices[choices.length - 1]?.picker;
  }
}

function createGroupPicker<H extends PlacedHost>(
  members: readonly H[],
  health: HostHealth | "any",
  options: BalancerOptions,
  random: Random,
): HostPicker<H> | undefined {
  const usable = health === "any" ? members : members.filter((host) => host.health === health);
  if (usable.length === 0) return undefined;
  const hashed = options.policy.kind === "RING_HASH" || options.policy.kind === "MAGLEV";
  if (!options.localityWeighted || health === "any") return createHostPicker(options.policy, usable, random, options.nowMs);
  const localities = groupByLocality(members)
    .map((all) => {
      const available = all.filter((host) => host.health === health);
      const share = Math.min(1, ((options.overprovisioningFactor / 100) * available.length) / all.length);
      return { hosts: available, weight: (all[0]?.localityWeight ?? 0) * share };
    })
    .filter((locality) => locality.weight > 0 && locality.hosts.length > 0);
  if (localities.length === 0) return undefined;
  if (hashed) return new Shadowed(createHostPicker(options.policy, localities.flatMap(shadowsOf), random));
  if (localities.length === 1) return createHostPicker(options.policy, localities[0]?.hosts ?? [], random, options.nowMs);
  return new LocalityPicker(
    localities.map((locality) => createHostPicker(options.policy, locality.hosts, random, options.nowMs)),
    new EdfSchedule(localities.length, (i) => localities[i]?.weight ?? 1, random),
  );
}

/** A host with its locality's weight worked into its own: hashing policies know one weight only. */
class Shadow<H extends PlacedHost> implements Candidate {
  readonly host: H;
  readonly weight: number;

  constructor(host: H, weight: number) {
    this.host = host;
    this.weight = weight;
  }
  get addressText(): string {
    return this.host.addressText;
  }
  get hostname(): string {
    return this.host.hostname ?? "";
  }
  get metadata(): Metadata {
    return this.host.metadata ?? {};
  }
  get activeRequests(): number {
    return this.host.activeRequests;
  }
}

function shadowsOf<H extends PlacedHost>(locality: { readonly hosts: readonly H[]; readonly weight: number }): readonly Shadow<H>[] {
  const sum = locality.hosts.reduce((total, host) => total + host.weight, 0);
  return locality.hosts.map((host) => new Shadow(host, (locality.weight * host.weight) / sum));
}

class Shadowed<H extends PlacedHost> implements HostPicker<H> {
  readonly #inner: HostPicker<Shadow<H>>;

  constructor(inner: HostPicker<Shadow<H>>) {
    this.#inner = inner;
  }

  pick(hash: Hash64 | undefined, attempt: number): H {
    return this.#inner.pick(hash, attempt).host;
  }
}

function groupByLocality<H extends PlacedHost>(hosts: readonly H[]): readonly (readonly H[])[] {
  return [...Map.groupBy(hosts, ({ locality }) => `${locality.region}/${locality.zone}/${locality.subZone}`).values()];
}

class LocalityPicker<H> implements HostPicker<H> {
  readonly #pickers: readonly HostPicker<H>[];
  readonly #schedule: EdfSchedule;

  constructor(pickers: readonly HostPicker<H>[], schedule: EdfSchedule) {
    this.#pickers = pickers;
    this.#schedule = schedule;
  }

  pick(hash: Hash64 | undefined, attempt: number): H {
    return (this.#pickers[this.#schedule.next()] as HostPicker<H>).pick(hash, attempt);
  }
}
