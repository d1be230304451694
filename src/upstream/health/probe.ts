// What every kind of health check is: asking one host once, over connections that it keeps from one time to the next.
import type { HealthCheckKind } from "../../envoy/cluster/health-check.ts";
import type { CheckFailure } from "./active-health.ts";

/** How a check went. */
export type CheckResult =
  | { readonly kind: "success"; readonly degraded: boolean }
  | {
      readonly kind: "failure";
      readonly why: CheckFailure;
      /** For the log. */
      readonly reason: string;
      /** The host asks to be left out altogether. */
      readonly exclude?: boolean;
    };

/** Asks one host. */
export interface Probe {
  /** Starts a check; `done` is called at most once, not after `giveUp`. */
  start(done: (result: CheckResult) => void): void;
  /** The check took too long: nothing more of it, and not on its connection again. */
  giveUp(): void;
  /** No further checks. */
  close(): void;
}

/** The host that a check names: its own setting, the endpoint's, or the cluster's name. */
export function checkedAuthority(check: HealthCheckKind, endpointHostname: string, clusterName: string): string {
  const own = check.kind === "http" ? check.host : check.kind === "grpc" ? check.authority : "";
  return own || endpointHostname || clusterName;
}

/** A network failure. */
export function networkFailure(reason: string): CheckResult {
  return { kind: "failure", why: "network", reason };
}

/** True when `expected` occurs in `bytes` piece by piece, in order, whatever is between the pieces. */
export function containsInOrder(bytes: Buffer, expected: readonly Uint8Array[]): boolean {
  let from = 0;
  for (const piece of expected) {
    const at = bytes.indexOf(piece, from);
    if (at < 0) return false;
    from = at + piece.length;
  }
  return true;
}
