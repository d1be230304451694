// Envoy's passive health checking for one cluster of one worker: which hosts are outliers, how many of them may be out at a
// time, and when they are back. What is known of each host is host-monitor.ts; that nobody picks an ejected host is the
// balancer's business.
import type { Clock, Timer } from "../../clock.ts";
import type { Metadata } from "../../envoy/address.ts";
import type { EjectionKind, OutlierDetection } from "../../envoy/cluster/outlier-detection.ts";
import type { StatsScope } from "../../telemetry/stats.ts";
import { HostMonitor } from "./host-monitor.ts";
import type { Judge } from "./host-monitor.ts";
import { isLastWay, isNetworkGateway } from "./network-gateway.ts";
import { createOutlierStats } from "./outlier-stats.ts";
import type { OutlierStats } from "./outlier-stats.ts";
import { outlierThreshold } from "./success-rate.ts";

/** A host that can be watched. */
export interface Watched {
  /** Set by the detector; absent while nobody watches. */
  outlier: HostMonitor | undefined;
  readonly priority: number;
  readonly metadata: Metadata;
  /** False when its endpoint's status says so or it is ejected. */
  readonly healthy: boolean;
}

/** What a detector needs. */
export interface DetectorDeps {
  readonly clock: Clock;
  /** Numbers in [0, 1). */
  readonly random: () => number;
  /** The cluster's scope. */
  readonly scope: StatsScope;
  /** A host was ejected or readmitted. */
  readonly onChange: () => void;
}

/** The detector of one version of a cluster. */
export class OutlierDetector implements Judge {
  readonly settings: OutlierDetection;
  readonly #deps: DetectorDeps;
  #hosts: readonly Watched[] = [];
  #monitors: readonly HostMonitor[] = [];
  /** Hosts that stand for a network, by their record; empty in most clusters. */
  #gateways: ReadonlyMap<HostMonitor, Watched> = new Map();
  #ejected = 0;
  #stats: OutlierStats | undefined;
  #sweeper: Timer | undefined;
  #active = false;

  constructor(settings: OutlierDetection, deps: DetectorDeps) {
    this.settings = settings;
    this.#deps = deps;
  }

  /** These are the hosts now. A host that was watched before, by whichever detector of its cluster, keeps its record. */
  watch(hosts: readonly Watched[]): void {
    this.#monitors = hosts.map((host) => {
      host.outlier ??= new HostMonitor(this);
      host.outlier.judge = this;
      return host.outlier;
    });
    this.#hosts = hosts;
    this.#gateways = new Map(hosts.flatMap((host) => (host.outlier && isNetworkGateway(host.metadata) ? [[host.outlier, host]] : [])));
    this.#readmitLastWays();
    this.#ejected = this.#monitors.filter((monitor) => monitor.ejected).length;
    // Most clusters of a mesh never see a result; they get neither instruments nor timers.
    if (this.#ejected > 0) {
      this.onActivity();
      this.#counters();
    }
    this.#stats?.active.set(this.#ejected);
  }

  /** Stops. The hosts stay as they are: another detector may have them already. */
  close(): void {
    if (this.#monitors.some((monitor) => monitor.judge === this)) this.#stats?.active.set(0);
    this.#sweeper?.cancel();
    this.#sweeper = undefined;
    this.#hosts = [];
    this.#monitors = [];
    this.#gateways = new Map();
  }

  onActivity(): void {
    this.#active = true;
    this.#sweeper ??= this.#sweepLater();
  }

  onOutlier(monitor: HostMonitor, kind: EjectionKind): void {
    // A host that everybody avoids may still get requests in a panic.
    if (monitor.ejected) return;
    this.#detect(monitor, kind);
    if (kind === "consecutive_5xx") this.#counters().oldConsecutive5xx.inc();
    // Whether or not it was ejected: another row of failures is another occasion.
    monitor.forget(kind);
  }

  /** The host passes active checks, which Envoy takes for the end of its ejection unless told otherwise. */
  onHealthy(monitor: HostMonitor | undefined): void {
    if (monitor === undefined || !monitor.ejected || !this.settings.healthCheckUnejects) return;
    monitor.readmit(this.#deps.clock.nowMs());
    this.#ejected--;
    this.#counters().active.set(this.#ejected);
    this.#deps.onChange();
  }

  #counters(): OutlierStats {
    return (this.#stats ??= createOutlierStats(this.#deps.scope));
  }

  #detect(monitor: HostMonitor, kind: EjectionKind): void {
    const { maxEjectionPercent, alwaysEjectOneHost, enforcing, maxEjectionTimeJitterMs } = this.settings;
    const stats = this.#counters();
    stats.detected[kind].inc();
    const within = (100 * (this.#ejected + 1)) / this.#monitors.length <= maxEjectionPercent;
    const gateway = this.#gateways.get(monitor);
    const needed = gateway !== undefined && isLastWay(gateway, this.#hosts);
    if (needed || (!within && !(alwaysEjectOneHost && this.#ejected === 0))) {
      stats.overflow.inc();
      return;
    }
    if (kind === "consecutive_5xx" || kind === "success_rate") stats.oldTotal.inc();
    if (this.#deps.random() * 100 >= enforcing[kind]) return;
    const jitterMs = maxEjectionTimeJitterMs === 0 ? 0 : Math.floor(this.#deps.random() * (maxEjectionTimeJitterMs + 1));
    monitor.eject(this.#deps.clock.nowMs(), jitterMs);
    this.#ejected++;
    this.#ejected -= this.#readmitLastWays();
    stats.enforcedTotal.inc();
    stats.enforced[kind].inc();
    stats.active.set(this.#ejected);
    this.#deps.onChange();
  }

  /** A gateway was ejected while others were left; now it is what is left. Gives how many are back. */
  #readmitLastWays(): number {
    let readmitted = 0;
    for (const [monitor, gateway] of this.#gateways) {
      if (!monitor.ejected || !isLastWay(gateway, this.#hosts)) continue;
      monitor.readmit(this.#deps.clock.nowMs());
      readmitted++;
    }
    return readmitted;
  }

  #sweepLater(): Timer {
    return this.#deps.clock.after(this.settings.intervalMs, () => this.#sweep());
  }

  #sweep(): void {
    const nowMs = this.#deps.clock.nowMs();
    const wasActive = this.#active;
    this.#active = false;
    let readmitted = 0;
    for (const monitor of this.#monitors) {
      if (monitor.readmitWhenDue(nowMs)) readmitted++;
      monitor.external.rotate();
      monitor.local.rotate();
    }
    if (readmitted > 0) {
      this.#ejected -= readmitted;
      this.#counters().active.set(this.#ejected);
      this.#deps.onChange();
    }
    this.#compare("external", "success_rate", "failure_percentage");
    this.#compare("local", "local_origin_success_rate", "local_origin_failure_percentage");
    for (const monitor of this.#monitors) monitor.relax(nowMs);
    const idle = !wasActive && this.#monitors.every((monitor) => monitor.settled);
    this.#sweeper = idle ? undefined : this.#sweepLater();
  }

  // Hosts that are much worse than the others, and hosts that are bad by any measure.
  #compare(origin: "external" | "local", byRate: EjectionKind, byPercentage: EjectionKind): void {
    const { successRate, failurePercentage } = this.settings;
    if (this.#monitors.length < Math.min(successRate.minimumHosts, failurePercentage.minimumHosts)) return;
    const rated = this.#monitors.flatMap((monitor) => {
      const { percent, volume } = monitor[origin];
      return monitor.ejected || percent === undefined ? [] : [{ monitor, percent, volume }];
    });
    const comparable = rated.filter(({ volume }) => volume >= successRate.requestVolume);
    if (comparable.length > 0 && comparable.length >= successRate.minimumHosts) {
      const threshold = outlierThreshold(
        comparable.map(({ percent }) => percent),
        successRate.stdevFactor,
      );
      for (const { monitor, percent } of comparable) {
        if (percent >= threshold) continue;
        this.#counters().oldSuccessRate.inc();
        this.#detect(monitor, byRate);
      }
    }
    const judged = rated.filter(({ volume }) => volume >= failurePercentage.requestVolume);
    if (judged.length === 0 || judged.length < failurePercentage.minimumHosts) return;
    for (const { monitor, percent } of judged) {
      if (!monitor.ejected && 100 - percent >= failurePercentage.threshold) this.#detect(monitor, byPercentage);
    }
  }
}
