// The endpoints of a STRICT_DNS or LOGICAL_DNS cluster, resolved again and again. What was found stays in use until a later
// lookup finds something else; a failing resolver takes nothing away.
import { isIP } from "node:net";
import type { Clock, Timer } from "../../clock.ts";
import type { Cluster } from "../../envoy/cluster/cluster.ts";
import type { LbEndpoint, LocalityLbEndpoints } from "../../envoy/cluster/endpoint.ts";
import type { StatsScope } from "../../telemetry/stats.ts";
import type { ResolvedEndpoint } from "../host.ts";
import type { HostLookup, ResolvedAddress } from "./host-lookup.ts";
import { resolveEndpoint } from "./resolved-endpoints.ts";

/** What name lookups need. */
export interface DnsDiscoveryDeps {
  readonly clock: Clock;
  readonly random: () => number;
  readonly lookupHost: HostLookup;
  readonly stats: () => StatsScope;
}

/** Answers by host name; handed from one version of a cluster to the next, so that a change does not start from nothing. */
export type DnsAnswers = ReadonlyMap<string, readonly ResolvedAddress[]>;

/** A resolver that has not answered by then will not be waited for; getaddrinfo's own limit can be half a minute. */
const lookupDeadlineMs = 10_000;
/** A TTL of 0 or 1 would turn a busy name into a query a second and more; Envoy's dns_min_refresh_rate is 5 s. */
const minTtlRefreshMs = 5_000;
/** Refreshes are spread by up to a tenth, or every proxy of a mesh would ask in step. */
const jitterShare = 0.1;

/** Keeps the endpoints of one DNS cluster. */
export class DnsDiscovery {
  readonly #cluster: Cluster;
  readonly #deps: DnsDiscoveryDeps;
  readonly #onChange: (endpoints: readonly ResolvedEndpoint[]) => void;
  readonly #onFirstRound: () => void;
  readonly #groups: readonly LocalityLbEndpoints[];
  readonly #answers: Map<string, readonly ResolvedAddress[]>;
  readonly #waiting = new Set<string>();
  readonly #timers = new Map<string, Timer>();
  #stopped = false;

  /** @param onFirstRound called once, when every name that was not known was answered or failed for the first time */
  constructor(
    cluster: Cluster,
    known: DnsAnswers,
    deps: DnsDiscoveryDeps,
    onChange: (endpoints: readonly ResolvedEndpoint[]) => void,
    onFirstRound: () => void,
  ) {
    this.#cluster = cluster;
    this.#deps = deps;
    this.#onChange = onChange;
    this.#onFirstRound = onFirstRound;
    const groups = cluster.loadAssignment?.endpoints ?? [];
    this.#groups = cluster.type === "LOGICAL_DNS" ? firstEndpoint(groups) : groups;
    this.#answers = new Map(known);
  }

  /** What is known now, by name. */
  get answers(): DnsAnswers {
    return this.#answers;
  }

  /** Publishes what is known and starts asking. */
  start(): void {
    for (const group of this.#groups)
      for (const { address } of group.endpoints) if (nameOf(address) !== undefined) this.#waiting.add(nameOf(address) ?? "");
    this.#publish();
    const names = [...this.#waiting];
    // What the version before had found serves at once; nobody need wait for it to be found again.
    for (const name of names) if (this.#answers.has(name)) this.#waiting.delete(name);
    if (this.#waiting.size === 0) this.#onFirstRound();
    for (const name of names) this.#ask(name);
  }

  /** Ends all lookups. */
  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
  }

  #ask(name: string): void {
    if (this.#stopped) return;
    const { clock, lookupHost } = this.#deps;
    let answered = false;
    const finish = (found: readonly ResolvedAddress[] | undefined): void => {
      if (answered || this.#stopped) return;
      answered = true;
      this.#onAnswer(name, found);
    };
    this.#timers.set(
      name,
      clock.after(lookupDeadlineMs, () => finish(undefined)),
    );
    lookupHost(name, this.#cluster.dnsLookupFamily, this.#cluster.respectDnsTtl).then(
      (found) => finish(found),
      () => finish(undefined),
    );
  }

  #onAnswer(name: string, found: readonly ResolvedAddress[] | undefined): void {
    this.#timers.get(name)?.cancel();
    const stats = this.#deps.stats();
    stats.counter("update_attempt").inc();
    const usable = found !== undefined && found.length > 0;
    stats.counter(usable ? "update_success" : found === undefined ? "update_failure" : "update_empty").inc();
    if (usable && !sameAddresses(this.#answers.get(name), found)) {
      this.#answers.set(name, found);
      this.#publish();
    }
    const delayMs = this.#refreshMs(usable ? found : []) * (1 + jitterShare * this.#deps.random());
    this.#timers.set(
      name,
      this.#deps.clock.after(delayMs, () => this.#ask(name)),
    );
    if (this.#waiting.delete(name) && this.#waiting.size === 0) this.#onFirstRound();
  }

  #refreshMs(found: readonly ResolvedAddress[]): number {
    const { respectDnsTtl, dnsRefreshRateMs } = this.#cluster;
    const ttls = found.flatMap(({ ttlSeconds }) => (ttlSeconds === undefined ? [] : [ttlSeconds]));
    return respectDnsTtl && ttls.length > 0 ? Math.max(minTtlRefreshMs, Math.min(...ttls) * 1000) : dnsRefreshRateMs;
  }

  #publish(): void {
    this.#onChange(this.#groups.flatMap((group) => group.endpoints.flatMap((endpoint) => this.#expand(group, endpoint))));
  }

  #expand(group: LocalityLbEndpoints, endpoint: LbEndpoint): readonly ResolvedEndpoint[] {
    const name = nameOf(endpoint.address);
    if (name === undefined || "pipe" in endpoint.address) return [resolveEndpoint(group, endpoint, endpoint.address)];
    const { port } = endpoint.address;
    const hostname = endpoint.hostname === "" ? name : endpoint.hostname;
    const found = this.#answers.get(name) ?? [];
    const used = this.#cluster.type === "LOGICAL_DNS" ? found.slice(0, 1) : found;
    return used.map(({ address }) => resolveEndpoint(group, endpoint, { address, port }, hostname));
  }
}

// The name to look up; undefined for what is an address already.
function nameOf(address: LbEndpoint["address"]): string | undefined {
  return "pipe" in address || isIP(address.address) !== 0 ? undefined : address.address;
}

// A logical cluster is one host whatever it lists (Envoy refuses more than one endpoint).
function firstEndpoint(groups: readonly LocalityLbEndpoints[]): readonly LocalityLbEndpoints[] {
  const group = groups.find(({ endpoints }) => endpoints.length > 0);
  return group === undefined ? [] : [{ ...group, endpoints: group.endpoints.slice(0, 1) }];
}

function sameAddresses(a: readonly ResolvedAddress[] | undefined, b: readonly ResolvedAddress[]): boolean {
  return a !== undefined && a.length === b.length && a.every((entry, i) => entry.address === b[i]?.address);
}
