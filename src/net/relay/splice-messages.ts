// What crosses between the thread that owns the connections' configuration and the splice thread.
import type { MessagePort } from "node:worker_threads";
import type { RelayEndReason } from "./relay.ts";

/** What the splice thread is started with. */
export interface SpliceThreadData {
  readonly port: MessagePort;
  /** Written to after a command was posted; wakes epoll_wait. */
  readonly eventFd: number;
  /** `slotFields` numbers a slot, written by the splice thread and read by the other. */
  readonly slab: SharedArrayBuffer;
}

/** Numbers a slot holds in the slab. */
export const slotFields = 2;
/** Bytes from downstream so far. */
export const slotReceived = 0;
/** Bytes from upstream so far. */
export const slotSent = 1;

/** A command to the splice thread. */
export type SpliceCommand =
  | {
      readonly kind: "start";
      readonly slot: number;
      /** Descriptors that nobody else reads, writes or closes until the report of the end. */
      readonly downstreamFd: number;
      readonly upstreamFd: number;
      /** Bytes that were read before, to be written first. */
      readonly toUpstream: Uint8Array | undefined;
      readonly toDownstream: Uint8Array | undefined;
      /** 0 = none. */
      readonly idleTimeoutMs: number;
    }
  | { readonly kind: "cancel"; readonly slot: number; readonly reset: boolean }
  | { readonly kind: "stop" };

/** A report from the splice thread. Byte counts are in the slab. */
export type SpliceReport = { readonly kind: "ready" } | { readonly kind: "ended"; readonly slot: number; readonly reason: RelayEndReason };
