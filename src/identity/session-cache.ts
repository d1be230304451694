// TLS sessions a client may resume, for one version of one context. Bounded by max_session_keys; the newest of a name is tried first.

interface Entry {
  readonly sni: string;
  readonly session: Buffer;
}

/** Sessions by server name. */
export class SessionCache {
  readonly #max: number;
  readonly #entries: Entry[] = [];

  /** @param max UpstreamTlsContext.max_session_keys: default 1, 0 = sessions are not kept */
  constructor(max: number) {
    this.#max = max;
  }

  /** Keeps a session, dropping the oldest when full. */
  put(sni: string, session: Buffer): void {
    if (this.#max === 0) return;
    this.#entries.push({ sni, session });
    if (this.#entries.length > this.#max) this.#entries.shift();
  }

  /** Takes the newest session of a name out: a ticket is used once (RFC 8446 appendix C.4), the server sends new ones. */
  take(sni: string): Buffer | undefined {
    for (let i = this.#entries.length - 1; i >= 0; i--) {
      const entry = this.#entries[i];
      if (entry?.sni !== sni) continue;
      this.#entries.splice(i, 1);
      return entry.session;
    }
    return undefined;
  }
}
