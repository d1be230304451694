// Which listener a redirected connection belongs to: the one for exactly its original address, then the wildcard one of its
// port (Envoy's use_original_dst).
import type { Listener } from "../envoy/listener/listener.ts";

/** Listeners by original destination; `T` is whatever stands for a listener. */
export class RedirectTable<T extends { readonly model: Pick<Listener, "addresses"> }> {
  readonly #exact = new Map<string, T>();
  readonly #wildcardV4 = new Map<number, T>();
  readonly #wildcardV6 = new Map<number, T>();

  constructor(listeners: readonly T[]) {
    for (const listener of listeners) {
      for (const { address, port } of listener.model.addresses) {
        if (address === "0.0.0.0") this.#wildcardV4.set(port, listener);
        else if (address === "::") this.#wildcardV6.set(port, listener);
        else this.#exact.set(`${address} ${port}`, listener);
      }
    }
  }

  /** The listener for a destination, or undefined: it stays where it was accepted. */
  find(ip: string, port: number): T | undefined {
    return this.#exact.get(`${ip} ${port}`) ?? (ip.includes(":") ? this.#wildcardV6 : this.#wildcardV4).get(port);
  }
}
