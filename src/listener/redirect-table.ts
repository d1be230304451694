// Which listener a redirected connection belongs to: the one for exactly its original address, then the wildcard one of its
// port (Envoy's use_original_dst).
import type { ActiveListener } from "./active-listener.ts";

/** Listeners by original destination. */
export class RedirectTable {
  readonly #exact = new Map<string, ActiveListener>();
  readonly #wildcardV4 = new Map<number, ActiveListener>();
  readonly #wildcardV6 = new Map<number, ActiveListener>();

  constructor(listeners: readonly ActiveListener[]) {
    for (const listener of listeners) {
      for (const { address, port } of listener.model.addresses) {
        if (address === "0.0.0.0") this.#wildcardV4.set(port, listener);
        else if (address === "::") this.#wildcardV6.set(port, listener);
        else this.#exact.set(`${address} ${port}`, listener);
      }
    }
  }

  /** The listener for a destination, or undefined: it stays where it was accepted. */
  find(ip: string, port: number): ActiveListener | undefined {
    return this.#exact.get(`${ip} ${port}`) ?? (ip.includes(":") ? this.#wildcardV6 : this.#wildcardV4).get(port);
  }
}
