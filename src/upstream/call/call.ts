// Requests that the proxy makes on its own behalf to a cluster: what filters ask with.
import type { Clock } from "../../clock.ts";
import type { ProxyError } from "../../error.ts";
import type { HeaderMap } from "../../wire/header-map.ts";
import type { LbContext } from "../cluster.ts";

/** Largest response body that is read; a longer one is a failure. Envoy's default buffer limit. */
export const maxResponseBytes = 1 << 20;

/** How a call went. */
export type CallResult =
  | {
      readonly kind: "response";
      readonly status: number;
      readonly headers: HeaderMap;
      readonly body: Buffer;
      readonly trailers: HeaderMap | undefined;
    }
  | { readonly kind: "failed"; readonly reason: string; readonly timedOut: boolean };

/** What a call needs beside its request. */
export interface CallOptions {
  readonly clock: Clock;
  /** Of the whole call, connecting included; 0 = none. */
  readonly timeoutMs: number;
  /** Called exactly once, unless cancelled; may be called before the call returns. Must not throw. */
  readonly onDone: (result: CallResult) => void;
}

/** A call under way. */
export interface Call {
  /** Gives it up: nothing more is heard of it. */
  cancel(): void;
}

/** A balancer's view of a call that belongs to no downstream connection. */
export const ownCall: LbContext = {
  downstream: undefined,
  headers: undefined,
  hash: undefined,
  metadataMatch: {},
  avoid: undefined,
  avoidAttempts: 0,
};

/** The result of a call that no host answered. */
export function failedCall(reason: string, timedOut = false): CallResult {
  return { kind: "failed", reason, timedOut };
}

/** What to say of a fault. */
export function faultReason(error: ProxyError): string {
  return error.reason === undefined ? error.code : `${error.code}: ${error.reason}`;
}
