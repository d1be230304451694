// What active health checks know of one host: whether it passes, and how long a row of results it takes to change that. It
// stays with the host when another version of the cluster, and with it another checker, takes the host over.
import type { HealthCheck } from "../../envoy/cluster/health-check.ts";

/**
 * Why a check failed. `active`: the host answered, and not as it should; `retriable`: by one of retriable_statuses;
 * `network`, `timeout`: no answer; `passive`: an ordinary response asked for it.
 */
export type CheckFailure = "active" | "retriable" | "network" | "timeout" | "passive";

/** What a result did to the host. `pending`: one of a row that would change it. */
export type HealthTransition = "unchanged" | "changed" | "pending";

type Thresholds = Pick<HealthCheck, "healthyThreshold" | "unhealthyThreshold">;

/** The state of one host's checks: Envoy's health flags of active checking. */
export class ActiveHealth {
  /** Not to be used. A host starts like this: it has to pass once. */
  failed = true;
  /** Never checked. */
  pending = true;
  /** It said so itself, by x-envoy-degraded. */
  degraded = false;
  /** The last check got no answer in time. */
  timedOut = false;
  /** It asked to be left out, by x-envoy-immediate-health-check-fail, and does not count towards panic. */
  excluded = false;
  readonly #ignoredWhilePending: boolean;
  #first = true;
  #inHealth = 0;
  #inFailure = 0;

  /** @param ignoredWhilePending it counts towards panic only from its first check on; default false */
  constructor(ignoredWhilePending = false) {
    this.#ignoredWhilePending = ignoredWhilePending;
  }

  /** Not counted towards panic. */
  get leftOut(): boolean {
    return this.excluded || (this.pending && this.#ignoredWhilePending);
  }

  /** A host that served before anybody checked it stays in use until a check says otherwise. */
  static inUse(): ActiveHealth {
    const health = new ActiveHealth();
    health.failed = false;
    health.pending = false;
    return health;
  }

  /** A check succeeded; the first of all makes the host healthy whatever the threshold. */
  succeed({ healthyThreshold }: Thresholds, degraded: boolean): HealthTransition {
    this.#inFailure = 0;
    let transition: HealthTransition = "unchanged";
    if (this.failed) {
      if (this.#first || ++this.#inHealth === healthyThreshold) {
        this.failed = false;
        this.timedOut = false;
        this.excluded = false;
        transition = "changed";
      } else transition = "pending";
    }
    transition = this.#checked(transition);
    if (degraded !== this.degraded) {
      this.degraded = degraded;
      if (transition === "unchanged") transition = "changed";
    }
    return transition;
  }

  /** A check failed. An answer that is wrong counts at once; what the network may be to blame for, in a row. */
  fail({ unhealthyThreshold }: Thresholds, why: CheckFailure): HealthTransition {
    this.#inHealth = 0;
    let transition: HealthTransition = "unchanged";
    if (!this.failed) {
      const atOnce = why === "active" || why === "passive";
      if (atOnce || ++this.#inFailure === unhealthyThreshold) {
        this.failed = true;
        transition = "changed";
      } else transition = "pending";
    }
    // Envoy shows the time-out only of a host that is out.
    this.timedOut = why === "timeout" && this.failed;
    return this.#checked(transition);
  }

  // The end of "never checked" is a change even for a host that stays out: it may count towards panic from now on.
  #checked(transition: HealthTransition): HealthTransition {
    this.#first = false;
    if (!this.pending) return transition;
    this.pending = false;
    return "changed";
  }
}
