// Names that are not the mesh's go to the servers of resolv.conf: one by one or all at once, those that fail last, until one
// replies or the deadline is there. No cache. One try with one server is attempt.ts.
import type { Clock } from "../../clock.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { StatsScope } from "../../telemetry/stats.ts";
import type { NameServer } from "../resolv-conf.ts";
import { Attempt, type AttemptOutcome, type Question } from "./attempt.ts";
import type { Transport } from "./exchange.ts";
import { NameServerState, type NameServerView } from "./name-server-state.ts";
import { defaultForwardSettings, type ForwardSettings } from "./settings.ts";
import { Silence } from "./silence.ts";

/** How a forwarder asks. */
export interface ForwarderOptions {
  readonly nameServers: readonly NameServer[];
  /** Default defaultForwardSettings. */
  readonly settings?: ForwardSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Gets `dns_upstream_*`. */
  readonly stats: StatsScope;
  /** Uniform in [0, 1): the order of servers. Ids, cookies and case always come from the system's secure source. */
  readonly random: () => number;
}

/** Called once with the reply under the client's id; undefined: no server replied. */
export type ForwardDone = (reply: Buffer | undefined) => void;

interface Job {
  readonly question: Question;
  readonly startedMs: number;
  readonly deadlineMs: number;
  readonly done: ForwardDone;
  /** Tries under way. */
  readonly running: Set<Attempt>;
  /** Servers at once. */
  width: number;
  queue: NameServerState[];
  /** Who gave no reply in this round. */
  silent: NameServerState[];
  roundsLeft: number;
  /** What a server said that would not answer, in case that none does. */
  bad: Buffer | undefined;
  over: boolean;
}

/** Asks upstream name servers. */
export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #settings: ForwardSettings;
  readonly #jobs = new Set<Job>();
  readonly #stats;
  readonly #silence = new Silence();
  #servers: readonly NameServerState[];
  #closed = false;

  constructor(options: ForwarderOptions) {
    const { stats, nameServers, settings = defaultForwardSettings } = options;
    this.#options = options;
    this.#settings = settings;
    this.#servers = nameServers.map((server) => new NameServerState(server));
    this.#stats = {
      requests: stats.counter("dns_upstream_requests_total"),
      failures: stats.counter("dns_upstream_failures_total"),
      // Istio's, in seconds; for buckets that tell upstreams apart there is the one below, in milliseconds.
      seconds: stats.histogram("dns_upstream_request_duration_seconds"),
      time: stats.histogram("dns_upstream_rq_time"),
      timeouts: stats.counter("dns_upstream_timeouts_total"),
      retries: stats.counter("dns_upstream_retries_total"),
      tcpFallbacks: stats.counter("dns_upstream_tcp_fallbacks_total"),
      discarded: stats.counter("dns_upstream_discarded_total"),
      overflow: stats.counter("dns_upstream_overflow_total"),
    };
  }

  /** Replaces the servers; what is under way goes on with those it began with. */
  setNameServers(nameServers: readonly NameServer[]): void {
    this.#servers = nameServers.map((server) => new NameServerState(server));
    this.#silence.broken(this.#options.clock.nowMs());
  }

  /** The servers and how they do. */
  view(): readonly NameServerView[] {
    const nowMs = this.#options.clock.nowMs();
    return this.#servers.map((state) => state.view(nowMs));
  }

  /**
   * Forwards `request`, a whole query without trailing bytes; the bytes are copied.
   * @param questionEnd where its question ends
   */
  forward(request: Uint8Array, questionEnd: number, transport: Transport, done: ForwardDone): void {
    const { clock, logger } = this.#options;
    const { maxInFlight, deadlineMs, downDeadlineMs, retries } = this.#settings;
    this.#stats.requests.inc();
    const overflow = this.#jobs.size >= maxInFlight;
    if (this.#closed || this.#servers.length === 0 || overflow) {
      if (overflow) {
        this.#stats.overflow.inc();
        logger.debug("dns query refused: too many are being forwarded", { maxInFlight });
      }
      this.#stats.failures.inc();
      done(undefined);
      return;
    }
    const nowMs = clock.nowMs();
    const down = downDeadlineMs < deadlineMs && this.#silence.holds(nowMs, deadlineMs);
    const job: Job = {
      question: { request: Buffer.from(request), questionEnd, transport },
      startedMs: nowMs,
      deadlineMs: nowMs + (down ? downDeadlineMs : deadlineMs),
      done,
      running: new Set(),
      width: 1,
      queue: [],
      silent: [],
      roundsLeft: retries,
      bad: undefined,
      over: false,
    };
    this.#jobs.add(job);
    this.#beginRound(job, this.#servers);
    if (down) job.width = job.queue.length;
    this.#advance(job);
  }

  /** True when a query that came from `port` with `id` is one this forwarder has just sent: the server leads back to us. */
  isOwn(port: number, id: number): boolean {
    for (const { running } of this.#jobs) for (const attempt of running) if (attempt.owns(port, id)) return true;
    return false;
  }

  /** Drops what is under way, without replies. */
  close(): void {
    this.#closed = true;
    for (const job of this.#jobs) this.#stop(job);
  }

  /** Lines up `servers`: in the order that is set, those that have been failing at the end, the longest failing last. */
  #beginRound(job: Job, servers: readonly NameServerState[]): void {
    const nowMs = this.#options.clock.nowMs();
    const order = this.#settings.order === "ordered" ? [...servers] : this.#shuffled(servers);
    const healthy = order.filter((state) => !state.backingOff(nowMs));
    job.queue = [...healthy, ...order.filter((state) => state.backingOff(nowMs))];
    job.silent = [];
    job.width = this.#settings.order === "parallel" ? healthy.length || job.queue.length : 1;
  }

  #shuffled(servers: readonly NameServerState[]): NameServerState[] {
    const order = [...servers];
    for (let i = order.length - 1; i > 0; i--) {
      const other = Math.floor(this.#options.random() * (i + 1));
      const kept = order[i]!;
      order[i] = order[other]!;
      order[other] = kept;
    }
    return order;
  }

  #advance(job: Job): void {
    const { clock } = this.#options;
    if (job.running.size === 0 && job.queue.length === 0 && job.silent.length > 0 && job.roundsLeft > 0 && !job.bad) {
      job.roundsLeft--;
      this.#stats.retries.inc();
      this.#beginRound(job, job.silent);
    }
    const late = clock.nowMs() >= job.deadlineMs;
    while (!late && job.running.size < job.width && job.queue.length > 0) this.#try(job, job.queue.shift()!);
    if (job.running.size === 0) this.#finish(job, job.bad);
  }

  #try(job: Job, state: NameServerState): void {
    const { clock } = this.#options;
    const { timeoutMs } = this.#settings;
    const nowMs = clock.nowMs();
    state.probing(nowMs, timeoutMs);
    const whole = nowMs + timeoutMs <= job.deadlineMs;
    const deadlineMs = whole ? nowMs + timeoutMs : job.deadlineMs;
    const attempt = new Attempt(
      {
        question: job.question,
        state,
        settings: this.#settings,
        deadlineMs,
        clock,
        onTcpFallback: () => this.#stats.tcpFallbacks.inc(),
        onDiscarded: () => this.#stats.discarded.inc(),
      },
      (outcome) => {
        job.running.delete(attempt);
        // A server that our own deadline cut short may have been about to reply.
        this.#onOutcome(job, state, outcome, whole);
      },
    );
    job.running.add(attempt);
  }

  #onOutcome(job: Job, state: NameServerState, outcome: AttemptOutcome, whole: boolean): void {
    const { clock, logger } = this.#options;
    if (outcome.kind !== "failed") this.#silence.broken(clock.nowMs());
    if (outcome.kind === "good") {
      this.#finish(job, outcome.reply);
      return;
    }
    if (outcome.kind === "bad") {
      job.bad ??= outcome.reply;
    } else {
      if (outcome.timedOut) this.#stats.timeouts.inc();
      if (!outcome.timedOut || whole) state.failed(clock.nowMs());
      job.silent.push(state);
      logger.debug("dns name server failed", { server: `${state.server.host}:${state.server.port}`, reason: outcome.reason });
    }
    this.#advance(job);
  }

  #finish(job: Job, reply: Buffer | undefined): void {
    if (job.over) return;
    this.#stop(job);
    const ms = this.#options.clock.nowMs() - job.startedMs;
    this.#stats.seconds.record(ms / 1000);
    this.#stats.time.record(ms);
    if (!reply) {
      this.#stats.failures.inc();
      this.#silence.lasted(job.startedMs, this.#options.clock.nowMs());
    }
    job.done(reply);
  }

  #stop(job: Job): void {
    job.over = true;
    this.#jobs.delete(job);
    for (const attempt of job.running) attempt.cancel();
    job.running.clear();
  }
}
