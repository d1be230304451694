// What is known about one upstream server: whether it has been replying, its cookie, what it cannot do. Knows no sockets.
import { randomBytes } from "node:crypto";
import type { NameServer } from "../resolv-conf.ts";

/** Failures in a row after which a server comes last: one may be a lost packet. */
const FAILURES_TO_BACK_OFF = 2;
/** Milliseconds of the first back-off; each further failure doubles it. */
const FIRST_BACK_OFF_MS = 1000;
/** Milliseconds a back-off lasts at most: the restart of a server must not go unnoticed for long. */
const MAX_BACK_OFF_MS = 30_000;
/** Milliseconds that "this server knows no EDNS" or "folds the question's case" holds; servers get upgraded. */
const LIMITATION_MS = 600_000;
/** Bytes of a client cookie (RFC 7873, section 4). */
export const CLIENT_COOKIE_LENGTH = 8;

/** One server as people look at it. */
export interface NameServerView extends NameServer {
  readonly healthy: boolean;
  /** Failures since the last reply. */
  readonly failures: number;
}

/** The state of one server. */
export class NameServerState {
  readonly server: NameServer;
  /** Ours, different for each server so that they cannot tell it is one client; random, so that a restart is a new one. */
  readonly clientCookie: Buffer = randomBytes(CLIENT_COOKIE_LENGTH);
  /** What the server gave us; undefined until it has. */
  serverCookie: Buffer | undefined;
  #failures = 0;
  #backOffUntilMs = 0;
  #noEdnsUntilMs = 0;
  #foldsCaseUntilMs = 0;

  constructor(server: NameServer) {
    this.server = server;
  }

  /** It replied, whatever it said. */
  replied(): void {
    this.#failures = 0;
    this.#backOffUntilMs = 0;
  }

  /** It could not be reached, or was silent for a whole try. */
  failed(nowMs: number): void {
    this.#failures++;
    const beyond = this.#failures - FAILURES_TO_BACK_OFF;
    if (beyond >= 0) this.#backOffUntilMs = nowMs + Math.min(MAX_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** Math.min(beyond, 10));
  }

  /** True while it is not to be asked before the others. */
  backingOff(nowMs: number): boolean {
    return nowMs < this.#backOffUntilMs;
  }

  /** Called when it is asked: of those who come when its back-off has ended, one only finds out whether it is back. */
  probing(nowMs: number, timeoutMs: number): void {
    if (this.#failures >= FAILURES_TO_BACK_OFF) this.#backOffUntilMs = Math.max(this.#backOffUntilMs, nowMs + timeoutMs);
  }

  /** It answered EDNS with an error. */
  refusedEdns(nowMs: number): void {
    this.#noEdnsUntilMs = nowMs + LIMITATION_MS;
  }

  knowsEdns(nowMs: number): boolean {
    return nowMs >= this.#noEdnsUntilMs;
  }

  /** It repeated the question in another case than it was asked. */
  foldedCase(nowMs: number): void {
    this.#foldsCaseUntilMs = nowMs + LIMITATION_MS;
  }

  keepsCase(nowMs: number): boolean {
    return nowMs >= this.#foldsCaseUntilMs;
  }

  view(nowMs: number): NameServerView {
    return { ...this.server, healthy: !this.backingOff(nowMs), failures: this.#failures };
  }
}
