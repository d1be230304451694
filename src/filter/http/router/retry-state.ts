// Whether a failed attempt may be made again: Envoy's retry conditions, compiled from the route's policy once, and the state
// of one request's retries.
import type { Clock, Timer } from "../../../clock.ts";
import type { RateLimitedBackOff, RetryPolicy } from "../../../envoy/route/route.ts";
import type { ProxyError } from "../../../error.ts";
import { compileFieldMatcher } from "../../../match/header-matcher.ts";
import type { CircuitBreakers, Priority } from "../../../upstream/circuit-breakers.ts";
import type { Host, UpstreamCluster } from "../../../upstream/cluster.ts";
import type { HeaderMap } from "../../../wire/header-map.ts";

/** A policy with its conditions as booleans. */
export interface CompiledRetryPolicy {
  readonly model: RetryPolicy;
  readonly serverError: boolean;
  readonly gatewayError: boolean;
  readonly reset: boolean;
  readonly resetBeforeRequest: boolean;
  readonly connectFailure: boolean;
  readonly retriable4xx: boolean;
  readonly refusedStream: boolean;
  readonly envoyRateLimited: boolean;
  readonly statusCodes: ReadonlySet<number>;
  readonly headers: readonly ((headers: HeaderMap) => boolean)[];
  readonly grpcStatuses: ReadonlySet<string>;
  /** Whether a request may be tried again at all, by its headers. */
  readonly admits: (headers: HeaderMap) => boolean;
}

const grpcConditions: Readonly<Record<string, string>> = {
  cancelled: "1",
  "deadline-exceeded": "4",
  "resource-exhausted": "8",
  internal: "13",
  unavailable: "14",
};

const compiled = new WeakMap<RetryPolicy, CompiledRetryPolicy>();

/** Compiles a policy; the same model gives the same object. */
export function compileRetryPolicy(model: RetryPolicy): CompiledRetryPolicy {
  const known = compiled.get(model);
  if (known !== undefined) return known;
  const on = new Set(model.retryOn);
  const policy: CompiledRetryPolicy = {
    model,
    serverError: on.has("5xx"),
    gatewayError: on.has("gateway-error"),
    reset: on.has("reset"),
    resetBeforeRequest: on.has("reset-before-request"),
    connectFailure: on.has("connect-failure"),
    retriable4xx: on.has("retriable-4xx"),
    refusedStream: on.has("refused-stream"),
    envoyRateLimited: on.has("envoy-ratelimited"),
    statusCodes: new Set(on.has("retriable-status-codes") ? model.retriableStatusCodes : []),
    headers: on.has("retriable-headers") ? model.retriableHeaders.map((header) => compileFieldMatcher(header)) : [],
    admits: compileAdmission(model),
    grpcStatuses: new Set(model.retryOn.flatMap((condition) => grpcConditions[condition] ?? [])),
  };
  compiled.set(model, policy);
  return policy;
}

function compileAdmission({ retriableRequestHeaders }: RetryPolicy): CompiledRetryPolicy["admits"] {
  const tests = retriableRequestHeaders.map((header) => compileFieldMatcher(header));
  return tests.length === 0 ? () => true : (headers) => tests.some((test) => test(headers));
}

/** Why an attempt is not followed by another. `overflow`: the circuit breaker; `limit`: all retries used. */
export type RetryVerdict = "retry" | "no" | "overflow" | "limit";

/** Whether a policy wants another attempt after one that failed before response headers, as long as any are left. */
export function retriesReset(policy: CompiledRetryPolicy, error: ProxyError, requestSent: boolean): boolean {
  if (error.code === "upstream_overflow") return false;
  if (policy.reset || policy.serverError || (policy.resetBeforeRequest && !requestSent)) return true;
  if (policy.refusedStream && error.code === "upstream_refused_stream") return true;
  return isConnectFailure(error) && (policy.connectFailure || policy.gatewayError);
}

/** The retries of one request. */
export class RetryState {
  readonly policy: CompiledRetryPolicy;
  readonly #cluster: UpstreamCluster;
  readonly #breakers: CircuitBreakers;
  readonly #random: () => number;
  #left: number;
  #backOffs = 0;
  #held = false;
  /** The wait that the last response asked for. */
  #askedMs: number | undefined;
  /** Retries that were started. */
  used = 0;
  /** Hosts tried in vain, for previous_hosts. */
  #tried: Set<Host> | undefined = undefined;
  #lastHost: Host | undefined = undefined;

  constructor(policy: CompiledRetryPolicy, cluster: UpstreamCluster, random: () => number, priority: Priority = "default") {
    this.policy = policy;
    this.#cluster = cluster;
    this.#breakers = cluster.resources[priority];
    this.#random = random;
    this.#left = policy.model.numRetries;
  }

  /** Hosts that the next attempt should not go to; undefined: any may serve. */
  get tried(): ReadonlySet<Host> | undefined {
    return this.#tried;
  }

  /** An attempt goes to a host. */
  onAttempt(host: Host): void {
    this.#lastHost = host;
  }

  /** An attempt failed before response headers. `requestSent`: bytes of the request went out. */
  onReset(error: ProxyError, requestSent: boolean): RetryVerdict {
    this.release();
    return retriesReset(this.policy, error, requestSent) ? this.#take() : "no";
  }

  /** An attempt goes on past its per-try timeout: another beside it needs no condition of the policy's. */
  onHedge(): RetryVerdict {
    this.release();
    return this.#take();
  }

  /** An attempt ended in its per-try timeout. */
  onPerTryTimeout(): RetryVerdict {
    this.release();
    const { policy } = this;
    return policy.serverError || policy.gatewayError || policy.reset ? this.#take() : "no";
  }

  /**
   * An attempt got response headers.
   * @param clock for the time of day, which a reset header may name
   */
  onResponse(status: number, headers: HeaderMap, clock: Clock): RetryVerdict {
    this.release();
    if (!this.wants(status, headers)) return "no";
    const { rateLimitedBackOff } = this.policy.model;
    this.#askedMs = rateLimitedBackOff === undefined ? undefined : askedBackOff(rateLimitedBackOff, headers, clock.wallMs());
    return this.#take();
  }

  /** Whether the policy asks for another attempt after such a response, as long as any are left. */
  wants(status: number, headers: HeaderMap): boolean {
    const { policy } = this;
    const wanted =
      (policy.serverError && status >= 500) ||
      (policy.gatewayError && status >= 502 && status <= 504) ||
      (policy.retriable4xx && status === 409) ||
      (policy.envoyRateLimited && headers.has("x-envoy-ratelimited")) ||
      policy.statusCodes.has(status) ||
      policy.headers.some((matches) => matches(headers)) ||
      (policy.grpcStatuses.size > 0 && policy.grpcStatuses.has(headers.get("grpc-status") ?? ""));
    // A rate limiter's no is not to be answered by asking again, unless the policy says so.
    return wanted && (policy.envoyRateLimited || !headers.has("x-envoy-ratelimited"));
  }

  #take(): RetryVerdict {
    const { stats } = this.#cluster;
    if (this.#left <= 0) {
      stats.upstreamRqRetryLimitExceeded.inc();
      return "limit";
    }
    if (this.#breakers.retries.full) {
      stats.upstreamRqRetryOverflow.inc();
      return "overflow";
    }
    this.#left--;
    this.used++;
    if (this.policy.model.avoidPreviousHosts && this.#lastHost !== undefined) (this.#tried ??= new Set()).add(this.#lastHost);
    stats.upstreamRqRetry.inc();
    return "retry";
  }

  /** The retry that was under way is over, however it ended: its slot of max_retries is free. */
  release(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#breakers.retries.give();
  }

  /** Calls `again` after the wait that the response asked for, or the back-off: fully jittered, base x 2^n, capped. Holds a slot of max_retries until `release`, as in Envoy. */
  schedule(clock: Clock, again: () => void): Timer {
    const { backOffBaseMs, backOffMaxMs } = this.policy.model;
    const cap = Math.min(backOffBaseMs * (2 ** Math.min(this.#backOffs + 1, 30) - 1), backOffMaxMs);
    const askedMs = this.#askedMs;
    this.#askedMs = undefined;
    // What was asked for is the least, with half as much again at random, so that not everybody comes back at once.
    const delayMs = askedMs === undefined ? this.#random() * cap : askedMs * (1 + this.#random() / 2);
    const { stats } = this.#cluster;
    if (askedMs === undefined) {
      this.#backOffs++;
      stats.upstreamRqRetryBackoffExponential.inc();
    } else stats.upstreamRqRetryBackoffRatelimited.inc();
    this.#breakers.retries.take();
    this.#held = true;
    return clock.after(delayMs, again);
  }
}

/** The wait that a response asks for; undefined when it does not, or for longer than is waited. */
function askedBackOff({ resetHeaders, maxMs }: RateLimitedBackOff, headers: HeaderMap, wallMs: number): number | undefined {
  for (const { name, format } of resetHeaders) {
    const value = headers.get(name);
    if (value === undefined || !/^[0-9]{1,15}$/.test(value)) continue;
    const ms = Number(value) * 1000 - (format === "SECONDS" ? 0 : wallMs);
    if (ms >= 0 && ms <= maxMs) return ms;
  }
  return undefined;
}

function isConnectFailure(error: ProxyError): boolean {
  return (
    error.code === "upstream_connect_refused" ||
    error.code === "upstream_connect_timeout" ||
    error.code === "upstream_connect_failed" ||
    error.code === "upstream_tls_failed"
  );
}
