// Zone-aware routing: how much of a proxy's load stays in its own zone, so that every upstream host gets about the same when
// all proxies of the local cluster do likewise. Envoy's arithmetic in ten-thousandths; done when hosts change, never per pick.
import type { Locality } from "../../envoy/cluster/endpoint.ts";
import type { ZoneAware } from "../../envoy/cluster/zone-aware.ts";
import type { PlacedHost } from "./balancer.ts";
import type { HostPicker, Random } from "./host-picker.ts";
import type { Hash64 } from "../../match/xxhash64.ts";
import type { ZoneStats } from "./lb-stats.ts";

/** What zone-aware routing goes by, beside the hosts to choose among. */
export interface ZoneContext {
  readonly settings: ZoneAware;
  /** This proxy's. */
  readonly locality: Locality;
  /** Hosts of the local cluster: the proxies that share the load. */
  readonly localHosts: readonly PlacedHost[];
  readonly stats: ZoneStats;
}

/** How the load of priority 0 goes to zones. */
export interface ZonePlan<H> {
  /** The hosts of each zone, whatever their health; those of this proxy's zone first, if there are any. */
  readonly zones: readonly (readonly H[])[];
  /** All of it to the first zone. */
  readonly direct: boolean;
  /** Ten-thousandths that go to the first zone; the others by capacity. */
  readonly localShare: number;
  /** What each zone can take beyond what comes from its own proxies, added up from the first. */
  readonly residual: readonly number[];
}

const whole = 10_000;

/** The plan for the hosts of priority 0, or undefined where zones count for nothing. */
export function planZones<H extends PlacedHost>(hosts: readonly H[], context: ZoneContext): ZonePlan<H> | undefined {
  const { settings, locality, localHosts, stats } = context;
  stats.recalculated.inc();
  const zones = byZone(hosts, locality);
  const localZones = byZone(localHosts, locality);
  if (zones.groups.length < 2 || localZones.groups.length < 2) return undefined;
  if (!localZones.own) {
    stats.localClusterNotOk.inc();
    return undefined;
  }
  if (hosts.filter(isHealthy).length < settings.minClusterSize) {
    stats.tooSmall.inc();
    return undefined;
  }
  const size = (members: readonly PlacedHost[]): number =>
    members.reduce((sum, host) => sum + (isHealthy(host) ? (settings.byWeight === true ? host.weight : 1) : 0), 0);
  const localSizes = new Map(localZones.groups.map((group) => [zoneOf(group[0]), size(group)]));
  const upstream = shares(zones.groups.map(size));
  const localTotal = sum([...localSizes.values()]);
  const local = zones.groups.map((group, i) =>
    // Without a healthy host the zone takes nothing, so what comes from there does not matter.
    upstream[i] === 0 || localTotal === 0 ? 0 : Math.floor((whole * (localSizes.get(zoneOf(group[0])) ?? 0)) / localTotal),
  );
  return { zones: zones.groups, ...divide(upstream, local, zones.own, mustStay(zones, settings)) };
}

// force_local_zone goes by the number of hosts, whatever the basis.
function mustStay({ groups, own }: Zones<PlacedHost>, { forceLocalMinSize }: ZoneAware): boolean {
  return own && forceLocalMinSize !== undefined && (groups[0] ?? []).filter(isHealthy).length >= forceLocalMinSize;
}

function divide(
  upstream: readonly number[],
  local: readonly number[],
  own: boolean,
  forced: boolean,
): Pick<ZonePlan<never>, "direct" | "localShare" | "residual"> {
  const here = own ? (upstream[0] ?? 0) : 0;
  const sent = own ? (local[0] ?? 0) : 0;
  if (forced || (here > 0 && here >= sent)) return { direct: true, localShare: whole, residual: [] };
  let left = 0;
  const residual = upstream.map((share, i) => (left += own && i === 0 ? 0 : Math.max(0, share - (local[i] ?? 0))));
  return { direct: false, localShare: sent === 0 ? 0 : Math.floor((here * whole) / sent), residual };
}

/** True when so few of the local cluster's hosts are fit that what they say of zones means nothing. */
export function localPanic(localHosts: readonly PlacedHost[], panicThreshold: number): boolean {
  const counted = localHosts.filter((host) => host.excluded !== true).length;
  const fit = localHosts.filter((host) => host.health !== "unhealthy").length;
  return (counted === 0 ? 0 : (100 * fit) / counted) < panicThreshold;
}

/** Who picks, by zone. */
export interface ZonePickers<H> {
  /** Of each zone of the plan; undefined where nobody serves. */
  readonly zones: readonly (HostPicker<H> | undefined)[];
  /** Without regard to zones. */
  readonly everywhere: HostPicker<H> | undefined;
}

/** Makes the picker that follows a plan. */
export function createZonePicker<H>(
  plan: ZonePlan<unknown>,
  pickers: ZonePickers<H>,
  context: ZoneContext,
  panicThreshold: number,
  random: Random,
): HostPicker<H | undefined> {
  return new ZonePicker(plan, pickers, context, localPanic(context.localHosts, panicThreshold), random);
}

class ZonePicker<H> implements HostPicker<H | undefined> {
  readonly #plan: ZonePlan<unknown>;
  readonly #pickers: ZonePickers<H>;
  readonly #settings: ZoneAware;
  readonly #stats: ZoneStats;
  readonly #localPanic: boolean;
  readonly #random: Random;

  constructor(plan: ZonePlan<unknown>, pickers: ZonePickers<H>, { settings, stats }: ZoneContext, inLocalPanic: boolean, random: Random) {
    this.#plan = plan;
    this.#pickers = pickers;
    this.#settings = settings;
    this.#stats = stats;
    this.#localPanic = inLocalPanic;
    this.#random = random;
  }

  pick(hash: Hash64 | undefined, attempt: number): H | undefined {
    const { routingPercent, failTrafficOnPanic } = this.#settings;
    const { zones, everywhere } = this.#pickers;
    if (routingPercent < 100 && this.#random() * 100 >= routingPercent) return everywhere?.pick(hash, attempt);
    if (this.#localPanic) {
      this.#stats.localClusterNotOk.inc();
      return failTrafficOnPanic ? undefined : everywhere?.pick(hash, attempt);
    }
    return zones[this.#choose()]?.pick(hash, attempt);
  }

  #choose(): number {
    const { direct, localShare, residual } = this.#plan;
    if (direct) {
      this.#stats.allDirectly.inc();
      return 0;
    }
    if (this.#random() * whole < localShare) {
      this.#stats.sampled.inc();
      return 0;
    }
    this.#stats.crossZone.inc();
    const total = residual[residual.length - 1] ?? 0;
    if (total === 0) {
      // Only rounding gets here.
      this.#stats.noCapacityLeft.inc();
      return Math.floor(this.#random() * residual.length);
    }
    const drawn = Math.floor(this.#random() * total);
    let at = 0;
    while (drawn >= (residual[at] as number)) at++;
    return at;
  }
}

interface Zones<H> {
  readonly groups: readonly (readonly H[])[];
  /** The first group is this proxy's. */
  readonly own: boolean;
}

function byZone<H extends PlacedHost>(hosts: readonly H[], locality: Locality): Zones<H> {
  const groups = Map.groupBy(hosts, zoneOf);
  const here = keyOf(locality);
  const own = groups.get(here);
  if (own === undefined) return { groups: [...groups.values()], own: false };
  groups.delete(here);
  return { groups: [own, ...groups.values()], own: true };
}

const isHealthy = (host: PlacedHost): boolean => host.health === "healthy";
const keyOf = ({ region, zone, subZone }: Locality): string => JSON.stringify([region, zone, subZone]);
const zoneOf = (host: PlacedHost | undefined): string => (host === undefined ? "" : keyOf(host.locality));
const sum = (numbers: readonly number[]): number => numbers.reduce((total, n) => total + n, 0);

function shares(sizes: readonly number[]): readonly number[] {
  const total = sum(sizes);
  return sizes.map((size) => (total === 0 ? 0 : Math.floor((whole * size) / total)));
}
