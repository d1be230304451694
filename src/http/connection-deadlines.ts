// The deadlines of one downstream connection, whatever it speaks: idle, a head that does not end, a close that takes too long,
// and HttpProtocolOptions.max_connection_duration.
import type { Socket } from "node:net";
import { LazyDeadline } from "../net/deadline.ts";
import type { HttpManager } from "./connection-manager.ts";

/** Whose deadlines they are. */
export interface DeadlineOwner {
  onIdle(): void;
  onHeadTimeout(): void;
  onCloseTimer(): void;
  drain(): void;
}

/** Who drains a connection at its longest duration: the last that took it over. */
const drainers = new WeakMap<Socket, { owner: Pick<DeadlineOwner, "drain"> }>();

/** The deadlines of a connection; the idle one begins at once. */
export class ConnectionDeadlines {
  readonly idle: LazyDeadline;
  readonly head: LazyDeadline;
  readonly close: LazyDeadline;
  readonly #idleTimeoutMs: number;

  constructor(socket: Socket, { config, clock, stats }: Pick<HttpManager, "config" | "clock" | "stats">, owner: DeadlineOwner) {
    this.idle = new LazyDeadline(clock, () => owner.onIdle());
    this.head = new LazyDeadline(clock, () => owner.onHeadTimeout());
    this.close = new LazyDeadline(clock, () => owner.onCloseTimer());
    this.#idleTimeoutMs = config.idleTimeoutMs;
    this.armIdle();
    if (config.maxConnectionDurationMs <= 0) return;
    const taken = drainers.get(socket);
    if (taken !== undefined) {
      taken.owner = owner;
      return;
    }
    const drainer = { owner };
    drainers.set(socket, drainer);
    const timer = clock.after(config.maxConnectionDurationMs, () => {
      stats.downstreamCxMaxDurationReached.inc();
      drainer.owner.drain();
    });
    socket.once("close", () => timer.cancel());
  }

  /** No request is under way: idle_timeout begins. */
  armIdle(): void {
    if (this.#idleTimeoutMs > 0) this.idle.set(this.#idleTimeoutMs);
  }

  /** The connection is gone, or another's. The limit of its duration stays until the socket is closed. */
  dispose(): void {
    this.idle.dispose();
    this.head.dispose();
    this.close.dispose();
  }
}
