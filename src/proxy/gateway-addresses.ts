// Addresses of network gateways that are given by host name: looked up, kept for their TTL, looked up again, and a change said.
import type { Clock, Timer } from "../clock.ts";
import type { HostLookup } from "../upstream/discovery/host-lookup.ts";

/** What the addresses are found with. */
export interface GatewayAddressesDeps {
  readonly lookup: HostLookup;
  readonly clock: Clock;
  /** Called when a name that was asked for has other addresses than before. */
  readonly onChange: () => void;
}

/** What is known of the names asked for. */
export interface GatewayLookupResult {
  /** Sorted addresses by name; names that never resolved are not there. */
  readonly addresses: ReadonlyMap<string, readonly string[]>;
  /** Why the last lookup of a name failed; older addresses of it stay in use. */
  readonly failures: ReadonlyMap<string, string>;
}

// Istio keeps an answer at least this long, whatever its TTL, so that short TTLs do not become a stream of changes.
const minTtlMs = 30_000;
// And at most this long, as resolvers do.
const maxTtlMs = 3_600_000;
// A resolver that is silent must not hold a start or a change; Istio's client gives up after as long.
const deadlineMs = 5_000;

interface Known {
  addresses: readonly string[];
  failure: string | undefined;
  timer: Timer | undefined;
  /** The lookup under way. */
  pending: Promise<void> | undefined;
}

/** The names of one mesh. Only names of the latest call are kept fresh. */
export class GatewayAddresses {
  readonly #deps: GatewayAddressesDeps;
  readonly #names = new Map<string, Known>();

  constructor(deps: GatewayAddressesDeps) {
    this.#deps = deps;
  }

  /** The addresses of these names; waits for those never asked for before, at most five seconds. Never rejects. */
  async resolve(names: ReadonlySet<string>): Promise<GatewayLookupResult> {
    for (const [name, known] of this.#names) {
      if (names.has(name)) continue;
      known.timer?.cancel();
      this.#names.delete(name);
    }
    const asked = [...names].map(async (name) => {
      const known = this.#names.get(name);
      if (known !== undefined) return known.pending;
      const fresh: Known = { addresses: [], failure: undefined, timer: undefined, pending: undefined };
      this.#names.set(name, fresh);
      return this.#look(name, fresh);
    });
    await Promise.all(asked);
    const found = [...this.#names].filter(([name]) => names.has(name));
    return {
      addresses: new Map(found.filter(([, { addresses }]) => addresses.length > 0).map(([name, { addresses }]) => [name, addresses])),
      failures: new Map(found.flatMap(([name, { failure }]) => (failure === undefined ? [] : [[name, failure]]))),
    };
  }

  /** Stops looking. */
  close(): void {
    for (const { timer } of this.#names.values()) timer?.cancel();
    this.#names.clear();
  }

  #look(name: string, known: Known): Promise<void> {
    known.pending ??= this.#ask(name).then((answer) => {
      known.pending = undefined;
      let ttlMs = minTtlMs;
      if (typeof answer === "string") {
        known.failure = answer;
      } else {
        known.failure = undefined;
        known.addresses = answer.addresses;
        ttlMs = Math.min(maxTtlMs, Math.max(minTtlMs, answer.ttlMs));
      }
      // Dropped while the answer was on its way.
      if (this.#names.get(name) === known) known.timer = this.#deps.clock.after(ttlMs, () => void this.#refresh(name, known));
    });
    return known.pending;
  }

  async #refresh(name: string, known: Known): Promise<void> {
    const before = known.addresses.join();
    await this.#look(name, known);
    if (known.addresses.join() !== before && this.#names.get(name) === known) this.#deps.onChange();
  }

  /** The answer, or why there is none. */
  #ask(name: string): Promise<{ readonly addresses: readonly string[]; readonly ttlMs: number } | string> {
    return new Promise((settle) => {
      const timer = this.#deps.clock.after(deadlineMs, () => settle(`no answer within ${deadlineMs / 1000} s`));
      this.#deps
        .lookup(name, "V4_PREFERRED", true)
        .then(
          (found) => {
            const addresses = [...new Set(found.map(({ address }) => address))].toSorted();
            // Without a TTL (the hosts file) the shortest time holds.
            const ttlMs = Math.min(...found.map(({ ttlSeconds }) => (ttlSeconds ?? 0) * 1000));
            settle(addresses.length === 0 ? "has no address" : { addresses, ttlMs });
          },
          (thrown: unknown) => settle(thrown instanceof Error ? thrown.message : String(thrown)),
        )
        .finally(() => timer.cancel());
    });
  }
}
