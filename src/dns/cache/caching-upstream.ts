// Between the query handler and the forwarder: replies that may be kept are, and clients that ask the same at once share one
// trip upstream. While upstream fails, replies that have run out are given for a while (RFC 8767).
import type { Clock, Timer } from "../../clock.ts";
import type { StatsScope } from "../../telemetry/stats.ts";
import { flag, responseCode, writeUint16, type Query } from "../codec.ts";
import type { Transport } from "../forward/exchange.ts";
import type { Forwarder } from "../forward/forwarder.ts";
import { ReplyStore, type StoredReply } from "./reply-store.ts";
import { askedOf, replyFor, shareReply, type Asked, type SharedReply } from "./shared-reply.ts";

/** How much is kept, and how long. */
export interface CacheSettings {
  /** Most replies. */
  readonly maxEntries: number;
  /** Most memory in bytes. */
  readonly maxBytes: number;
  /** Seconds a reply is kept at least, whatever its TTL. */
  readonly minTtlS: number;
  /** Seconds a reply is kept at most. */
  readonly maxTtlS: number;
  /** Seconds that "there is no such name" is kept at most. */
  readonly maxNegativeTtlS: number;
  /** Seconds beyond its TTL that a reply is given while upstream fails; 0 = never. */
  readonly maxStaleS: number;
}

/**
 * The defaults: 10,000 names in at most 8 MiB. TTLs are the zone's, up to an hour, as in CoreDNS; names that do not exist come
 * into being while a mesh grows, so 5 minutes for them. An hour of stale replies is CoreDNS' too, outlasting the restart of a server.
 */
export const defaultCacheSettings: CacheSettings = {
  maxEntries: 10_000,
  maxBytes: 8 * 1024 * 1024,
  minTtlS: 0,
  maxTtlS: 3600,
  maxNegativeTtlS: 300,
  maxStaleS: 3600,
};

/** Where a reply came from, for the log. */
export type ReplySource = "upstream" | "cache" | "stale" | "shared" | "failed";

/** Called once with the reply for the client, undefined when there is none to be had. */
export type ResolveDone = (reply: Buffer | undefined, source: ReplySource) => void;

/** What a caching upstream works with. */
export interface CachingUpstreamOptions {
  readonly forwarder: Forwarder;
  readonly settings: CacheSettings;
  readonly clock: Clock;
  /** Gets `dns_cache_*`. */
  readonly stats: StatsScope;
}

/** Seconds that clients may keep a stale reply: RFC 8767, section 4. */
const STALE_TTL_S = 30;
/** Milliseconds a client with a stale reply at hand waits for a fresh one: RFC 8767, section 5. */
const STALE_ANSWER_MS = 1800;
/** Milliseconds after a failure before upstream is asked again for a name with a stale reply. */
const STALE_RETRY_MS = 5000;
/** Clients waiting for another one's question; each holds little more than its question. */
const MAX_WAITING = 4096;

interface Client {
  readonly asked: Asked;
  readonly done: ResolveDone;
}

/** A question on its way upstream and who waits for the reply; the first is the one it was sent for. */
interface Flight {
  readonly key: string;
  readonly type: number;
  readonly transport: Transport;
  readonly request: Buffer;
  readonly questionEnd: number;
  clients: Client[];
  /** Nobody has been given a stale reply in its place. */
  leading: boolean;
  timer: Timer | undefined;
}

/** What is in the cache, for people to look at. */
export interface CacheView {
  readonly entries: number;
  readonly bytes: number;
  readonly settings: CacheSettings;
}

/** Answers from memory, or asks upstream once for all who wait. */
export class CachingUpstream {
  readonly #options: CachingUpstreamOptions;
  readonly #store: ReplyStore;
  readonly #flights = new Map<string, Flight>();
  readonly #counters;
  #waiting = 0;

  constructor(options: CachingUpstreamOptions) {
    const { settings, stats } = options;
    this.#options = options;
    const gauges = { entries: stats.gauge("dns_cache_entries"), bytes: stats.gauge("dns_cache_bytes") };
    this.#store = new ReplyStore(settings.maxEntries, settings.maxBytes, gauges);
    this.#counters = {
      hits: stats.counter("dns_cache_hits_total"),
      misses: stats.counter("dns_cache_misses_total"),
      stale: stats.counter("dns_cache_stale_total"),
      shared: stats.counter("dns_cache_shared_total"),
    };
  }

  view(): CacheView {
    return { entries: this.#store.size, bytes: this.#store.bytes, settings: this.#options.settings };
  }

  /**
   * Finds the reply to `query`, read from `request`, a whole query without trailing bytes; both are only valid during the call.
   */
  resolve(query: Query, request: Buffer, transport: Transport, done: ResolveDone): void {
    const { clock, forwarder } = this.#options;
    const { questionEnd } = query;
    if (!query.shareable) {
      forwarder.forward(request, questionEnd, transport, (reply) => done(reply, reply ? "upstream" : "failed"));
      return;
    }
    const key = keyOf(query);
    const nowMs = clock.nowMs();
    const entry = this.#store.get(key, nowMs);
    const client: Client = { asked: askedOf(query, request), done };
    if (entry && nowMs < entry.freshUntilMs) {
      this.#counters.hits.inc();
      done(replyFor(client.asked, entry.reply, this.#bounds(entry.reply), Math.floor((nowMs - entry.storedMs) / 1000), true), "cache");
      return;
    }
    if (entry && nowMs < entry.retryMs) {
      this.#giveStale(client, entry);
      return;
    }
    this.#counters.misses.inc();
    // A reply over UDP may be cut, so those who ask over TCP are not to share it.
    const flightKey = `${transport}${key}`;
    const flight = this.#flights.get(flightKey);
    if (flight) {
      if (this.#waiting >= MAX_WAITING) {
        done(undefined, "failed");
        return;
      }
      this.#waiting++;
      this.#counters.shared.inc();
      flight.clients.push(client);
      return;
    }
    this.#send(
      flightKey,
      { key, type: query.type, transport, request, questionEnd, clients: [client], leading: true, timer: undefined },
      entry,
    );
  }

  #send(flightKey: string, made: Flight, stale: StoredReply | undefined): void {
    const { clock, forwarder } = this.#options;
    const flight = { ...made, request: Buffer.from(made.request) };
    this.#flights.set(flightKey, flight);
    this.#waiting++;
    if (stale) flight.timer = clock.after(STALE_ANSWER_MS, () => this.#giveUpWaiting(flight));
    forwarder.forward(flight.request, flight.questionEnd, flight.transport, (reply) => {
      this.#flights.delete(flightKey);
      flight.timer?.cancel();
      this.#land(flight, reply);
    });
  }

  /** Upstream is slow: those who wait get what there is, and those who come next do not wait. */
  #giveUpWaiting(flight: Flight): void {
    const nowMs = this.#options.clock.nowMs();
    const entry = this.#store.get(flight.key, nowMs);
    if (!entry) return;
    entry.retryMs = nowMs + STALE_RETRY_MS;
    flight.leading = false;
    for (const client of this.#takeClients(flight)) this.#giveStale(client, entry);
  }

  #land(flight: Flight, reply: Buffer | undefined): void {
    const { clock } = this.#options;
    const nowMs = clock.nowMs();
    const shared = reply && shareReply(reply, flight.questionEnd, flight.type);
    const [first, ...others] = this.#takeClients(flight);
    const led = flight.leading;
    if (!reply || shared?.code === responseCode.serverFailure || shared?.code === responseCode.refused) {
      const entry = this.#store.get(flight.key, nowMs);
      if (entry) {
        entry.retryMs = nowMs + STALE_RETRY_MS;
        for (const client of first ? [first, ...others] : []) this.#giveStale(client, entry);
        return;
      }
    } else if (shared) {
      this.#keep(flight.key, shared, nowMs);
    }
    if (!first) return;
    if (led) first.done(reply, reply ? "upstream" : "failed");
    for (const client of led ? others : [first, ...others]) this.#giveShared(client, flight, reply, shared);
  }

  #giveShared(client: Client, flight: Flight, reply: Buffer | undefined, shared: SharedReply | undefined): void {
    if (!reply) client.done(undefined, "failed");
    else if (shared) client.done(replyFor(client.asked, shared, this.#bounds(shared), 0, false), "shared");
    else {
      // A reply that is one client's alone: the others have to ask for themselves, for which their question will do.
      const request = Buffer.from(client.asked.question);
      writeUint16(request, 10, 0);
      this.#options.forwarder.forward(request, request.length, flight.transport, (own) => client.done(own, own ? "upstream" : "failed"));
    }
  }

  #giveStale(client: Client, entry: StoredReply): void {
    this.#counters.stale.inc();
    client.done(replyFor(client.asked, entry.reply, { minTtlS: STALE_TTL_S, maxTtlS: STALE_TTL_S }, 0, true), "stale");
  }

  #keep(key: string, reply: SharedReply, nowMs: number): void {
    const { maxStaleS } = this.#options.settings;
    const { minTtlS, maxTtlS } = this.#bounds(reply);
    // What must not be kept is not, whatever the least TTL is.
    const keptS = reply.keepable ? Math.min(Math.max(reply.ttlS, minTtlS), maxTtlS) : 0;
    if (keptS === 0) {
      // Newer than what is there, which therefore is wrong.
      this.#store.delete(key);
      return;
    }
    const freshUntilMs = nowMs + keptS * 1000;
    this.#store.set(key, { reply, storedMs: nowMs, freshUntilMs, staleUntilMs: freshUntilMs + maxStaleS * 1000, retryMs: 0 });
  }

  #bounds({ negative }: SharedReply): { readonly minTtlS: number; readonly maxTtlS: number } {
    const { minTtlS, maxTtlS, maxNegativeTtlS } = this.#options.settings;
    const most = negative ? Math.min(maxTtlS, maxNegativeTtlS) : maxTtlS;
    return { minTtlS: Math.min(minTtlS, most), maxTtlS: most };
  }

  #takeClients(flight: Flight): readonly Client[] {
    const { clients } = flight;
    flight.clients = [];
    this.#waiting -= clients.length;
    return clients;
  }
}

/** What decides the answer: name, type, class, and the flags that upstream acts on. */
function keyOf(query: Query): string {
  const flags = (query.flags & (flag.recursionDesired | flag.authenticData | flag.checkingDisabled)) | (query.dnssecOk ? 1 : 0);
  const name = Buffer.from(query.name.buffer, query.name.byteOffset, query.nameLength).toString("latin1");
  return `${name}${String.fromCharCode(query.type, query.class, flags)}`;
}
