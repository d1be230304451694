// The checks of one host, one after the other: when the next one is due, how long one may take, and what its result means.
import type { Clock, Timer } from "../../clock.ts";
import type { HealthCheck } from "../../envoy/cluster/health-check.ts";
import type { ActiveHealth, CheckFailure, HealthTransition } from "./active-health.ts";
import type { HealthStats } from "./health-stats.ts";
import type { CheckResult, Probe } from "./probe.ts";

/** What a session needs of its checker. */
export interface SessionOwner {
  readonly settings: HealthCheck;
  readonly clock: Clock;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  readonly stats: HealthStats;
  /** True once the cluster had a connection for somebody's traffic. */
  readonly hasTraffic: () => boolean;
  /** A check ended. */
  onResult(session: CheckSession, result: CheckResult, transition: HealthTransition): void;
}

/** One host's checks. */
export class CheckSession {
  readonly health: ActiveHealth;
  readonly #owner: SessionOwner;
  readonly #probe: Probe;
  #timer: Timer;
  #closed = false;

  constructor(health: ActiveHealth, probe: Probe, owner: SessionOwner) {
    this.health = health;
    this.#probe = probe;
    this.#owner = owner;
    const { initialJitterMs } = owner.settings;
    this.#timer = owner.clock.after(initialJitterMs === 0 ? 0 : Math.floor(owner.random() * initialJitterMs), () => this.#check());
  }

  /** An ordinary response said that the host wants no more of them. */
  failPassively(): void {
    if (this.#closed) return;
    this.health.excluded = true;
    this.#judge({ kind: "failure", why: "passive", reason: "x-envoy-immediate-health-check-fail" });
  }

  /** No further checks. */
  close(): void {
    this.#closed = true;
    this.#timer.cancel();
    this.#probe.close();
  }

  #check(): void {
    const { settings, stats, clock } = this.#owner;
    stats.attempt.inc();
    this.#timer = clock.after(settings.timeoutMs, () => {
      this.#probe.giveUp();
      this.#done({ kind: "failure", why: "timeout", reason: "no answer in time" });
    });
    this.#probe.start((result) => this.#done(result));
  }

  #done(result: CheckResult): void {
    if (this.#closed) return;
    this.#timer.cancel();
    const transition = this.#judge(result);
    // What was told of the result may have ended the session.
    if (!this.#closed) this.#timer = this.#owner.clock.after(this.#intervalMs(result.kind, transition), () => this.#check());
  }

  #judge(result: CheckResult): HealthTransition {
    const { settings, stats } = this.#owner;
    let transition: HealthTransition;
    if (result.kind === "success") {
      stats.success.inc();
      transition = this.health.succeed(settings, result.degraded);
    } else {
      stats.failure.inc();
      countKind(stats, result.why);
      transition = this.health.fail(settings, result.why);
      if (result.exclude === true) this.health.excluded = true;
    }
    this.#owner.onResult(this, result, transition);
    return transition;
  }

  #intervalMs(result: CheckResult["kind"], transition: HealthTransition): number {
    const { settings, random, hasTraffic } = this.#owner;
    const ok = result === "success";
    let base: number;
    if (!hasTraffic()) base = ok ? settings.noTrafficHealthyIntervalMs : settings.noTrafficIntervalMs;
    else if (ok) base = transition === "pending" ? settings.healthyEdgeIntervalMs : settings.intervalMs;
    else base = transition === "pending" ? settings.unhealthyEdgeIntervalMs : settings.unhealthyIntervalMs;
    const shareMs = Math.floor((base * settings.intervalJitterPercent) / 100);
    return base + Math.floor(random() * shareMs) + Math.floor(random() * settings.intervalJitterMs);
  }
}

function countKind(stats: HealthStats, why: CheckFailure): void {
  if (why === "network" || why === "timeout") stats.networkFailure.inc();
  else if (why === "passive") stats.passiveFailure.inc();
}
