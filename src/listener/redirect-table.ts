// Which listener a redirected connection belongs to: the one for exactly its original address, then the wildcard one of its
// port (Envoy's use_original_dst).
import type { ActiveListener } from "./active-listener.ts";

/** Listeners by original destination. */
export class RedirectTable {
  readonly #exact = new Map<string, ActiveListener>();
  readonly #wildcard = new Map<number, ActiveListener>();

  constructor(listeners: readonly ActiveListener[]) {
    for (const listener of listeners) {
      for (const { address, port } of listener.model.addresses) {
        if (address === "0.0.0.0" || address === "::") this.#wildcard.set(port, listener);
        else this.#exact.set(`${address} ${port}`, listener);
      }
    }
  }

  /** The listener for a destination, or undefined: it stays where it was accepted. */
  find(ip: string, port: number): ActiveListener | undefined {
    return this.#exact.get(`${ip} ${port}`) ?? this.#wildcard.get(port);
  }
}
