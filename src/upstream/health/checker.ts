// Active health checking of one version of a cluster: a session for each host, and what its results change.
import type { Clock } from "../../clock.ts";
import type { Cluster } from "../../envoy/cluster/cluster.ts";
import type { HealthCheck } from "../../envoy/cluster/health-check.ts";
import type { Metadata } from "../../envoy/address.ts";
import type { Logger } from "../../telemetry/logger.ts";
import type { StatsScope } from "../../telemetry/stats.ts";
import type { Dialer, UpstreamHost } from "../host.ts";
import type { HostTransport } from "../transport-sockets.ts";
import { ActiveHealth, type HealthTransition } from "./active-health.ts";
import { checkCluster, CheckTarget } from "./check-target.ts";
import { CheckSession, type SessionOwner } from "./check-session.ts";
import { grpcCheckExchange } from "./grpc-check.ts";
import { createHealthStats, type HealthStats } from "./health-stats.ts";
import { httpCheckExchange } from "./http-check.ts";
import { checkedAuthority, type CheckResult, type Probe } from "./probe.ts";
import { RequestProbe } from "./request-probe.ts";
import { TcpProbe } from "./tcp-probe.ts";

/** What a checker needs. */
export interface CheckerDeps {
  readonly clock: Clock;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  /** The cluster's scope. */
  readonly scope: StatsScope;
  /** Connects without counting. */
  readonly dialer: Dialer;
  readonly transportOf: (metadata: Metadata) => HostTransport;
  /** True once the cluster had a connection for somebody's traffic. */
  readonly hasTraffic: () => boolean;
  /** A host passes now or fails now, or has been checked for the first time. */
  readonly onChange: (host: UpstreamHost) => void;
  /** A host passed a check. */
  readonly onPassed: (host: UpstreamHost) => void;
}

/** The checker of one version of a cluster. */
export class HealthChecker implements SessionOwner {
  readonly settings: HealthCheck;
  readonly clock: Clock;
  readonly random: () => number;
  readonly stats: HealthStats;
  readonly hasTraffic: () => boolean;
  readonly #model: Cluster;
  readonly #deps: CheckerDeps;
  readonly #probeOf: (host: UpstreamHost) => Probe;
  readonly #sessions = new Map<UpstreamHost, CheckSession>();
  readonly #hosts = new Map<CheckSession, UpstreamHost>();
  #waiting: (() => void)[] = [];

  constructor(model: Cluster, settings: HealthCheck, deps: CheckerDeps) {
    this.#model = model;
    this.settings = settings;
    this.clock = deps.clock;
    this.random = deps.random;
    this.hasTraffic = deps.hasTraffic;
    this.#deps = deps;
    this.stats = createHealthStats(deps.scope);
    this.#probeOf = this.#createProbes();
  }

  /**
   * These are the hosts now. A host that was checked before, by whichever checker of its cluster, keeps what is known of it.
   * @param served true for hosts that were in use before anybody checked them
   */
  watch(hosts: readonly UpstreamHost[], served = false): void {
    const current = new Set(hosts);
    for (const host of this.#sessions.keys()) if (!current.has(host)) this.#end(host);
    for (const host of hosts) {
      if (host.healthCheckConfig?.disabled === true) {
        this.#end(host);
        host.activeHealth = undefined;
      } else if (!this.#sessions.has(host)) this.#begin(host, served);
    }
    this.#publish();
    this.#fire();
  }

  /** Calls `fire` once every host was checked; at once when there is none to wait for. */
  whenChecked(fire: () => void): void {
    this.#waiting.push(fire);
    this.#fire();
  }

  /** Stops. @param adopted another checker has the hosts, and the gauges with them */
  close(adopted: boolean): void {
    for (const session of this.#hosts.keys()) session.close();
    this.#sessions.clear();
    this.#hosts.clear();
    if (!adopted) this.#publish();
  }

  /** An ordinary response of this host asked for no more. */
  failPassively(host: UpstreamHost): void {
    this.#sessions.get(host)?.failPassively();
  }

  onResult(session: CheckSession, result: CheckResult, transition: HealthTransition): void {
    const host = this.#hosts.get(session);
    if (host === undefined) return;
    if (transition === "changed") this.#publish();
    this.#log(host, session, result, transition);
    if (transition === "changed") this.#deps.onChange(host);
    if (result.kind === "success" && !session.health.failed) this.#deps.onPassed(host);
    this.#fire();
  }

  #log(host: UpstreamHost, { health }: CheckSession, result: CheckResult, transition: HealthTransition): void {
    const { logger } = this.#deps;
    const always = result.kind === "success" ? this.settings.alwaysLogSuccess : this.settings.alwaysLogFailures;
    if (transition !== "changed" && !always) return;
    const fields = { cluster: this.#model.name, host: host.addressText };
    if (result.kind === "failure") logger.info("health check failed", { ...fields, reason: result.reason, out: health.failed });
    else logger.info("health check passed", { ...fields, degraded: result.degraded, out: health.failed });
  }

  #begin(host: UpstreamHost, served: boolean): void {
    host.activeHealth ??= served ? ActiveHealth.inUse() : new ActiveHealth(this.#model.ignoreNewHostsUntilFirstCheck);
    const session = new CheckSession(host.activeHealth, this.#probeOf(host), this);
    this.#sessions.set(host, session);
    this.#hosts.set(session, host);
  }

  #end(host: UpstreamHost): void {
    const session = this.#sessions.get(host);
    if (session === undefined) return;
    this.#sessions.delete(host);
    this.#hosts.delete(session);
    session.close();
  }

  #publish(): void {
    let healthy = 0;
    let degraded = 0;
    for (const { health } of this.#hosts.keys()) {
      if (!health.failed) healthy++;
      if (health.degraded) degraded++;
    }
    this.stats.healthy.set(healthy);
    this.stats.degraded.set(degraded);
  }

  #fire(): void {
    if (this.#waiting.length === 0) return;
    for (const { health } of this.#hosts.keys()) if (health.pending) return;
    for (const fire of this.#waiting.splice(0)) fire();
  }

  // What is the same for all hosts is made once.
  #createProbes(): (host: UpstreamHost) => Probe {
    const { settings } = this;
    const { check, transportSocketMatch } = settings;
    const { dialer, transportOf, clock } = this.#deps;
    const cluster = checkCluster(this.#model, settings);
    const target = (host: UpstreamHost): CheckTarget => {
      const transport =
        transportSocketMatch === undefined ? host.transport : transportOf({ "envoy.transport_socket_match": transportSocketMatch });
      return new CheckTarget(host, settings, dialer, transport);
    };
    if (check.kind === "tcp") return (host) => new TcpProbe(target(host), check, settings.reuseConnection);
    return (host) => {
      const at = target(host);
      const authority = checkedAuthority(check, at.hostname, this.#model.name);
      const scheme = at.transport.tls === undefined ? "http" : "https";
      const exchange =
        check.kind === "http"
          ? httpCheckExchange(check, authority, scheme, this.stats)
          : grpcCheckExchange(check, authority, scheme, settings.timeoutMs);
      return new RequestProbe(at, cluster, exchange, clock);
    };
  }
}
