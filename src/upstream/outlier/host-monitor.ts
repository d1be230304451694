// What outlier detection knows of one host: its failures in a row, its success rates, its ejection. It stays with the host
// when another version of the cluster, and with it another detector, takes the host over.
import type { EjectionKind, OutlierDetection } from "../../envoy/cluster/outlier-detection.ts";
import type { HostResult } from "../cluster.ts";
import { SuccessRate } from "./success-rate.ts";

/** Who judges the host. */
export interface Judge {
  readonly settings: OutlierDetection;
  /** A result came in. */
  onActivity(): void;
  /** So many failures in a row that the host is an outlier. */
  onOutlier(monitor: HostMonitor, kind: EjectionKind): void;
}

/** One host's record. */
export class HostMonitor {
  judge: Judge;
  /** Its answers, and, unless origins are split, the failures to get one. */
  readonly external = new SuccessRate();
  /** Whether it could be reached, when origins are split. */
  readonly local = new SuccessRate();
  #reachable = true;
  #in5xx = 0;
  #inGatewayFailure = 0;
  #inLocalFailure = 0;
  #ejected = false;
  #sinceMs = 0;
  #jitterMs = 0;
  /** How many base times the next ejection lasts, less one; falls again while the host behaves. */
  #backOff = 0;
  /** When it was readmitted last; undefined before its first ejection. */
  #readmittedMs: number | undefined;

  constructor(judge: Judge) {
    this.judge = judge;
  }

  /** Out of balancing. */
  get ejected(): boolean {
    return this.#ejected;
  }

  /** False while the last result was that there is no connection, or no answer on it. */
  get reachable(): boolean {
    return this.#reachable;
  }

  /** Neither out nor due a longer ejection than a host that never was. */
  get settled(): boolean {
    return !this.#ejected && this.#backOff === 0;
  }

  /** Takes a result in. */
  record(result: HostResult | number): void {
    this.judge.onActivity();
    this.#reachable = result !== "connect_failed" && result !== "timeout";
    if (typeof result === "number") {
      this.#answered(result);
      return;
    }
    const split = this.judge.settings.splitExternalLocalOriginErrors;
    switch (result) {
      case "connected":
        // Without the split the answer that follows decides.
        if (split) this.#reached();
        break;
      case "tcp_connected":
        if (split) this.#reached();
        else this.#answered(200);
        break;
      case "connect_failed":
        if (split) this.#notReached();
        else this.#answered(503);
        break;
      case "timeout":
        if (split) this.#notReached();
        else this.#answered(504);
        break;
    }
  }

  #answered(status: number): void {
    const failed = status >= 500 && status < 600;
    this.external.add(!failed);
    if (!failed) {
      this.#in5xx = 0;
      this.#inGatewayFailure = 0;
      return;
    }
    const { consecutive5xx, consecutiveGatewayFailure } = this.judge.settings;
    this.#inGatewayFailure = status >= 502 && status <= 504 ? this.#inGatewayFailure + 1 : 0;
    this.#in5xx++;
    // Only the one that completes the row: what an ejected host answers in a panic counts on without judging it again.
    const gatewayRow = this.#inGatewayFailure > 0 && this.#inGatewayFailure === consecutiveGatewayFailure;
    const row = this.#in5xx === consecutive5xx;
    if (gatewayRow) this.judge.onOutlier(this, "consecutive_gateway_failure");
    if (row) this.judge.onOutlier(this, "consecutive_5xx");
  }

  #reached(): void {
    this.local.add(true);
    this.#inLocalFailure = 0;
  }

  #notReached(): void {
    this.local.add(false);
    if (++this.#inLocalFailure === this.judge.settings.consecutiveLocalOriginFailure) {
      this.judge.onOutlier(this, "consecutive_local_origin_failure");
    }
  }

  /** Begins the row of `kind` anew. */
  forget(kind: EjectionKind): void {
    if (kind === "consecutive_5xx") this.#in5xx = 0;
    else if (kind === "consecutive_gateway_failure") this.#inGatewayFailure = 0;
    else if (kind === "consecutive_local_origin_failure") this.#inLocalFailure = 0;
  }

  /** Takes the host out of balancing; each time for longer, up to the maximum. */
  eject(nowMs: number, jitterMs: number): void {
    const { baseEjectionTimeMs, maxEjectionTimeMs } = this.judge.settings;
    this.#ejected = true;
    this.#sinceMs = nowMs;
    this.#jitterMs = jitterMs;
    if (this.#backOff * baseEjectionTimeMs < maxEjectionTimeMs + baseEjectionTimeMs) this.#backOff++;
  }

  /** Readmits the host if its time has passed. Answers whether it did. */
  readmitWhenDue(nowMs: number): boolean {
    const { baseEjectionTimeMs, maxEjectionTimeMs } = this.judge.settings;
    const lastsMs = Math.min(baseEjectionTimeMs * this.#backOff, maxEjectionTimeMs) + this.#jitterMs;
    if (!this.#ejected || nowMs - this.#sinceMs < lastsMs) return false;
    this.readmit(nowMs);
    return true;
  }

  /** Readmits the host. Its rows begin anew, or a single failure could end it again. */
  readmit(nowMs: number): void {
    this.#ejected = false;
    this.#readmittedMs = nowMs;
    this.#in5xx = 0;
    this.#inGatewayFailure = 0;
    this.#inLocalFailure = 0;
  }

  /** A sweep ends: an interval without an ejection shortens the next one. */
  relax(nowMs: number): void {
    if (this.#ejected || this.#backOff === 0 || this.#readmittedMs === undefined) return;
    if (nowMs - this.#readmittedMs >= this.judge.settings.intervalMs) this.#backOff--;
  }
}
