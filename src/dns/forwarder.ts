// Names that are not the mesh's go to the servers of resolv.conf: in random order, one by one, as Istio's proxy asks them.
// No cache. A reply is passed on as it is, whatever its code; only transport failures move on to the next server.
import { randomInt } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { StatsScope } from "../telemetry/stats.ts";
import { readUint16, writeUint16 } from "./codec.ts";
import { startExchange, type Exchange, type Transport } from "./exchange.ts";
import type { NameServer } from "./resolv-conf.ts";

/** Milliseconds a name server gets for one query: Istio's DNS_FORWARD_TIMEOUT. */
export const DEFAULT_FORWARD_TIMEOUT_MS = 5000;
/** Queries under way at once; each holds a socket, and a process has 1024 descriptors by default. */
export const DEFAULT_MAX_FORWARDED = 512;

/** How a forwarder asks. */
export interface ForwarderOptions {
  readonly nameServers: readonly NameServer[];
  /** Milliseconds a server. Default DEFAULT_FORWARD_TIMEOUT_MS. */
  readonly timeoutMs?: number;
  /** Further queries fail at once. Default DEFAULT_MAX_FORWARDED. */
  readonly maxInFlight?: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stats: StatsScope;
  /** Uniform in [0, 1): the order of servers. Message ids always come from the system's secure source. */
  readonly random: () => number;
}

/** Called once with the reply under the client's id; undefined: no server replied. */
export type ForwardDone = (reply: Buffer | undefined) => void;

interface Job {
  readonly transport: Transport;
  readonly request: Buffer;
  readonly clientId: number;
  readonly questionEnd: number;
  readonly servers: readonly NameServer[];
  readonly startedMs: number;
  readonly done: ForwardDone;
  attempt: number;
  exchange: Exchange | undefined;
}

/** Asks upstream name servers. */
export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #jobs = new Set<Job>();
  readonly #requests;
  readonly #failures;
  readonly #duration;
  #closed = false;

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#requests = options.stats.counter("dns_upstream_requests_total");
    this.#failures = options.stats.counter("dns_upstream_failures_total");
    this.#duration = options.stats.histogram("dns_upstream_request_duration_seconds");
  }

  /**
   * Forwards `request`, a whole query without trailing bytes; the bytes are copied.
   * @param questionEnd where its question ends
   */
  forward(request: Uint8Array, questionEnd: number, transport: Transport, done: ForwardDone): void {
    this.#requests.inc();
    const { nameServers, maxInFlight = DEFAULT_MAX_FORWARDED, clock, logger } = this.#options;
    if (this.#closed || nameServers.length === 0 || this.#jobs.size >= maxInFlight) {
      if (this.#jobs.size >= maxInFlight) logger.debug("dns query refused: too many are being forwarded", { maxInFlight });
      this.#failures.inc();
      done(undefined);
      return;
    }
    const copy = Buffer.from(request);
    const job: Job = {
      transport,
      request: copy,
      clientId: readUint16(copy, 0),
      questionEnd,
      servers: this.#shuffled(nameServers),
      startedMs: clock.nowMs(),
      done,
      attempt: 0,
      exchange: undefined,
    };
    this.#jobs.add(job);
    this.#ask(job);
  }

  /** True when a query that came from `port` with `id` is one this forwarder has just sent: the server leads back to us. */
  isOwn(port: number, id: number): boolean {
    for (const { exchange, request } of this.#jobs) {
      if (readUint16(request, 0) === id && exchange?.localPort() === port) return true;
    }
    return false;
  }

  /** Drops what is under way, without replies. */
  close(): void {
    this.#closed = true;
    for (const { exchange } of this.#jobs) exchange?.cancel();
    this.#jobs.clear();
  }

  #shuffled(servers: readonly NameServer[]): readonly NameServer[] {
    const order = [...servers];
    for (let i = order.length - 1; i > 0; i--) {
      const other = Math.floor(this.#options.random() * (i + 1));
      const kept = order[i]!;
      order[i] = order[other]!;
      order[other] = kept;
    }
    return order;
  }

  #ask(job: Job): void {
    const server = job.servers[job.attempt++];
    if (!server) {
      this.#failures.inc();
      this.#finish(job, undefined);
      return;
    }
    const { timeoutMs = DEFAULT_FORWARD_TIMEOUT_MS, clock, logger } = this.#options;
    writeUint16(job.request, 0, randomInt(0x10000));
    job.exchange = startExchange(
      job.transport,
      { server, request: job.request, questionEnd: job.questionEnd, timeoutMs, clock },
      (outcome) => {
        if ("reply" in outcome) {
          writeUint16(outcome.reply, 0, job.clientId);
          this.#finish(job, outcome.reply);
          return;
        }
        logger.debug("dns name server failed", { server: `${server.host}:${server.port}`, reason: outcome.failure });
        this.#ask(job);
      },
    );
  }

  #finish(job: Job, reply: Buffer | undefined): void {
    this.#jobs.delete(job);
    this.#duration.record((this.#options.clock.nowMs() - job.startedMs) / 1000);
    job.done(reply);
  }
}
