// SDS secrets of this worker by name. Holds what a snapshot said last; transports compare object identity to see a change.
import type { Secret } from "../envoy/tls/tls.ts";
import type { ResourceUpdate, Versioned } from "../snapshot/update.ts";

/** Hears which secrets an update added, replaced or removed. */
export type SecretListener = (names: readonly string[]) => void;

/** The secrets published so far. */
export interface SecretLookup {
  /** The secret as published last; the same object until its version changes. */
  get(name: string): Versioned<Secret> | undefined;
}

/** The worker's secrets. */
export class SecretStore implements SecretLookup {
  readonly #secrets = new Map<string, Versioned<Secret>>();
  readonly #listeners = new Set<SecretListener>();

  /** Applies one publish; secrets whose version did not change keep their identity. */
  apply(update: ResourceUpdate<Secret>): void {
    const changed: string[] = [];
    for (const secret of update.set) {
      if (this.#secrets.get(secret.name)?.version === secret.version) continue;
      this.#secrets.set(secret.name, secret);
      changed.push(secret.name);
    }
    for (const name of update.removed) if (this.#secrets.delete(name)) changed.push(name);
    if (changed.length > 0) for (const listener of this.#listeners) listener(changed);
  }

  get(name: string): Versioned<Secret> | undefined {
    return this.#secrets.get(name);
  }

  /** Calls `listener` after every publish that changed something; returns what ends it. */
  onChange(listener: SecretListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
