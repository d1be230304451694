// The door to TCP relays: bytes both ways between two connected sockets until both sides are done. Two implementations, one
// behaviour: `portable-relay.ts` on Node's sockets, and `splice-relay.ts`, a Linux thread that takes over the descriptors.
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Clock } from "../../clock.ts";
import { startPortableRelay } from "./portable-relay.ts";
import type { SpliceRelay } from "./splice-relay.ts";

/** One end of a relay. */
export interface RelayEnd {
  readonly socket: Socket | TLSSocket;
  /** The socket is the kernel's own, nothing in between: its descriptor may be taken over. */
  readonly raw: boolean;
}

/** What to relay. Both sockets belong to the relay from the call on; both are destroyed when `onEnd` is called. */
export interface RelayRequest {
  readonly downstream: RelayEnd;
  readonly upstream: RelayEnd;
  /** Bytes read from downstream before; they are written upstream first. */
  readonly initialBytes: Uint8Array | undefined;
  /** Milliseconds without a byte in either direction after which the relay ends; 0 = none. */
  readonly idleTimeoutMs: number;
  /** Called once, never inside `startRelay`. */
  readonly onEnd: (result: RelayResult) => void;
}

/** Why a relay ended. `closed`: both sides sent FIN. `internal`: the relay itself failed. */
export type RelayEndReason = "closed" | "downstream_reset" | "upstream_reset" | "idle_timeout" | "cancelled" | "internal";

/** How a relay went. */
export interface RelayResult {
  readonly reason: RelayEndReason;
  /** Bytes from downstream that were taken for upstream, initial bytes included. */
  readonly bytesReceived: number;
  /** Bytes from upstream that were taken for downstream. */
  readonly bytesSent: number;
}

/** A running relay. */
export interface Relay {
  /** Bytes from downstream so far. */
  readonly bytesReceived: number;
  /** Bytes to downstream so far. */
  readonly bytesSent: number;
  /** Ends it now, with RST when `reset`, otherwise as the kernel closes (FIN, or RST when bytes are unread). */
  cancel(reset: boolean): void;
}

/** What a relay runs on. */
export interface RelayDeps {
  readonly clock: Clock;
  /** Absent: always the portable relay. */
  readonly splice?: SpliceRelay | undefined;
}

/** Starts a relay on the cheapest implementation that can carry these sockets. */
export function startRelay(request: RelayRequest, deps: RelayDeps): Relay {
  return deps.splice?.start(request) ?? startPortableRelay(request, deps.clock);
}
