// Locality-weighted balancing: a locality by its weight, less what it lacks in healthy hosts, then a host in it.
import type { Metadata } from "../../envoy/address.ts";
import type { Hash64 } from "../../match/xxhash64.ts";
import type { BalancerOptions, HostHealth, PlacedHost } from "./balancer.ts";
import { EdfSchedule } from "./edf.ts";
import type { Candidate, HostPicker, Random } from "./host-picker.ts";
import { createHostPicker, hashes } from "./policy.ts";

/**
 * Makes the picker among those of one priority.
 * @param members all of them, whatever their health
 * @returns undefined when no locality has weight: Envoy then leaves localities out of it
 */
export function createLocalityPicker<H extends PlacedHost>(
  members: readonly H[],
  health: HostHealth,
  options: BalancerOptions,
  random: Random,
): HostPicker<H> | undefined {
  const { policy, overprovisioningFactor, nowMs } = options;
  const weightOf = options.localityWeightOf ?? ((host: PlacedHost): number => host.localityWeight);
  const localities = groupByLocality(members)
    .map((all) => {
      const available = all.filter((host) => host.health === health);
      const counted = all.filter((host) => host.excluded !== true).length;
      const share = counted === 0 ? 0 : Math.min(1, ((overprovisioningFactor / 100) * available.length) / counted);
      return { hosts: available, weight: (all[0] === undefined ? 0 : weightOf(all[0])) * share };
    })
    .filter((locality) => locality.weight > 0 && locality.hosts.length > 0);
  if (localities.length === 0) return undefined;
  if (hashes(policy)) return new Shadowed(createHostPicker(policy, localities.flatMap(shadowsOf), random));
  if (localities.length === 1) return createHostPicker(policy, localities[0]?.hosts ?? [], random, nowMs);
  return new LocalityPicker(
    localities.map((locality) => createHostPicker(policy, locality.hosts, random, nowMs)),
    new EdfSchedule(localities.length, (i) => localities[i]?.weight ?? 1, random),
  );
}

/**
 * Weights of localities in proportion to the hosts that a subset has of them (scale_locality_weight).
 * @param all the cluster's hosts
 */
export function scaledWeights(subset: readonly PlacedHost[], all: readonly PlacedHost[]): (host: PlacedHost) => number {
  const count = (hosts: readonly PlacedHost[]): ReadonlyMap<string, number> =>
    new Map([...Map.groupBy(hosts, placeOf)].map(([place, members]) => [place, members.length]));
  const kept = count(subset);
  const before = count(all);
  return (host) => {
    const place = placeOf(host);
    return Math.round((host.localityWeight * (kept.get(place) ?? 0)) / Math.max(1, before.get(place) ?? 0));
  };
}

const localityOf = ({ locality }: PlacedHost): string => `${locality.region}/${locality.zone}/${locality.subZone}`;
const placeOf = (host: PlacedHost): string => `${host.priority} ${localityOf(host)}`;

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
  return [...Map.groupBy(hosts, localityOf).values()];
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
