// What the pools of every protocol do alike: open connections for those who wait, as far as circuit breakers allow, count them,
// end them when they are too old, and say when nothing is left.
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Clock } from "../../clock.ts";
import type { TlsPeer } from "../../telemetry/stream-info.ts";
import type { CircuitBreakers, Priority } from "../circuit-breakers.ts";
import type { DialOptions, Host, UpstreamCluster } from "../cluster.ts";
import { mayConnect, type WaitingRequests } from "./waiting.ts";

/** Whose connections a pool holds, and how they are made. */
export interface PoolSettings {
  readonly host: Host;
  readonly cluster: UpstreamCluster;
  readonly dialOptions: DialOptions;
  readonly clock: Clock;
  /** Whose circuit breakers requests and connections count against. */
  readonly priority: Priority;
  /** Nothing is open and nobody waits: called for a pool that is not to be kept then. */
  readonly onEmpty: (() => void) | undefined;
}

/** A pool, as its dialer sees it. */
export interface DialerOwner {
  /** Connections that are open. */
  readonly open: number;
  /** A connection is being opened, whose protocol the pool may know. */
  onDial?(): void;
  /** Takes a connection that is counted already. */
  adopt(socket: Socket | TLSSocket, peer: TlsPeer | undefined, alpn: string): void;
}

/** The connections of one pool that are being opened. */
export class PoolDialer {
  readonly #settings: PoolSettings;
  readonly #breakers: CircuitBreakers;
  readonly #waiting: WaitingRequests;
  readonly #requestsEach: number;
  readonly #owner: DialerOwner;
  #connecting = 0;

  /** @param requestsEach how many of those who wait one connection is expected to serve */
  constructor(settings: PoolSettings, waiting: WaitingRequests, requestsEach: number, owner: DialerOwner) {
    this.#settings = settings;
    this.#breakers = settings.cluster.resources[settings.priority];
    this.#waiting = waiting;
    this.#requestsEach = requestsEach;
    this.#owner = owner;
  }

  /** Opens what those who wait need, as far as circuit breakers allow. */
  dialForWaiting(): void {
    const { host, cluster } = this.#settings;
    while (this.#connecting * this.#requestsEach < this.#waiting.size) {
      const room = mayConnect(host, this.#breakers);
      if (!room) cluster.stats.upstreamCxOverflow.inc();
      // A host without any connection may always have one, or its requests could never be served.
      if (!room && this.#owner.open + this.#connecting > 0) return;
      this.#dial();
    }
  }

  #dial(): void {
    const { host, dialOptions } = this.#settings;
    this.#connecting++;
    this.#owner.onDial?.();
    this.#breakers.connections.take();
    host.dial(dialOptions, {
      onConnected: (socket, peer, alpn) => {
        this.#connecting--;
        this.#owner.adopt(socket, peer, alpn);
      },
      onFailed: (error) => {
        this.#connecting--;
        this.#breakers.connections.give();
        this.#waiting.fail(error, this.#connecting * this.#requestsEach);
        this.mayBeEmpty();
      },
    });
  }

  /** Retires a connection that reaches max_connection_duration. */
  limitDuration(socket: Socket | TLSSocket, client: { retire(): void }): void {
    const { cluster, clock } = this.#settings;
    const { maxConnectionDurationMs } = cluster.model.http;
    if (maxConnectionDurationMs <= 0) return;
    const timer = clock.after(maxConnectionDurationMs, () => {
      cluster.stats.upstreamCxMaxDurationReached.inc();
      client.retire();
    });
    socket.once("close", () => timer.cancel());
  }

  /** A connection of the pool is gone: whoever waits for one under max_connections gets its place. */
  onClosed(): void {
    this.#breakers.connections.give();
    this.dialForWaiting();
    this.mayBeEmpty();
  }

  /** Says so when nothing is left. */
  mayBeEmpty(): void {
    if (this.#owner.open + this.#connecting + this.#waiting.size === 0) this.#settings.onEmpty?.();
  }
}
