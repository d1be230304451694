// Happy eyeballs (RFC 8305, as Envoy has it): the addresses of one endpoint are called one after the other, each while those
// before it are still under way, and the first to connect wins.
import { isIP, type Socket } from "node:net";
import type { Clock, Timer } from "../clock.ts";
import type { SocketAddress } from "../envoy/address.ts";
import type { Pending } from "../identity/transport.ts";

/** Envoy's time before the next address is called. */
export const attemptDelayMs = 300;

/** Who called. Exactly one of the two is called, never before the race was started. */
export interface RaceHandler {
  onConnect(socket: Socket): void;
  /** No address answered; the error is that of the first, which the endpoint is known by. */
  onFailed(error: unknown): void;
}

/** The order in which addresses are called: families in turn, the first address' family first. */
export function interleaved(addresses: readonly SocketAddress[]): readonly SocketAddress[] {
  const family = isIP(addresses[0]?.address ?? "");
  const own = addresses.filter(({ address }) => isIP(address) === family);
  const other = addresses.filter(({ address }) => isIP(address) !== family);
  return [...own.flatMap((address, i) => [address, ...other.slice(i, i + 1)]), ...other.slice(own.length)];
}

/**
 * Calls addresses.
 * @param open begins to connect; may throw, which counts as a failed attempt
 */
export function raceAddresses(
  addresses: readonly SocketAddress[],
  open: (address: SocketAddress) => Socket,
  clock: Clock,
  handler: RaceHandler,
): Pending {
  const race = new Race(interleaved(addresses), open, clock, handler);
  race.next();
  return race;
}

class Race implements Pending {
  readonly #addresses: readonly SocketAddress[];
  readonly #open: (address: SocketAddress) => Socket;
  readonly #clock: Clock;
  readonly #handler: RaceHandler;
  readonly #running = new Set<Socket>();
  #called = 0;
  #timer: Timer | undefined;
  #firstError: unknown;
  #over = false;

  constructor(addresses: readonly SocketAddress[], open: (address: SocketAddress) => Socket, clock: Clock, handler: RaceHandler) {
    this.#addresses = addresses;
    this.#open = open;
    this.#clock = clock;
    this.#handler = handler;
  }

  /** Calls the next address, if any is left. */
  next(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const address = this.#addresses[this.#called];
    if (address === undefined) return;
    this.#called++;
    try {
      this.#watch(this.#open(address));
    } catch (thrown) {
      // Not within the caller's own call.
      process.nextTick(() => this.#onFailed(undefined, thrown));
      return;
    }
    if (this.#called < this.#addresses.length) this.#timer = this.#clock.after(attemptDelayMs, () => this.next());
  }

  cancel(): void {
    this.#end(undefined);
  }

  #watch(socket: Socket): void {
    this.#running.add(socket);
    // Stays for the socket's life, because every socket needs a listener.
    socket.on("error", (error) => this.#onFailed(socket, error));
    socket.once("connect", () => {
      if (this.#over) return;
      this.#end(socket);
      this.#handler.onConnect(socket);
    });
  }

  #onFailed(socket: Socket | undefined, error: unknown): void {
    if (this.#over) return;
    this.#firstError ??= error;
    if (socket !== undefined) this.#running.delete(socket);
    // A failure says more than a silence: the next is called at once.
    if (this.#called < this.#addresses.length) return this.next();
    if (this.#running.size > 0) return;
    this.#end(undefined);
    this.#handler.onFailed(this.#firstError);
  }

  #end(winner: Socket | undefined): void {
    this.#over = true;
    this.#timer?.cancel();
    for (const socket of this.#running) if (socket !== winner) socket.destroy();
    this.#running.clear();
  }
}
