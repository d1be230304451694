// TLS sessions a client may resume, for one version of one context. Bounded by max_session_keys; the newest of a name is tried first.
import type { X509Certificate } from "node:crypto";

/** A session and the certificate of the server that was verified when it began: OpenSSL does not show it again on resumption. */
export interface ResumableSession {
  readonly session: Buffer;
  readonly certificate: X509Certificate;
}

interface Entry extends ResumableSession {
  readonly sni: string;
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
  put(sni: string, session: Buffer, certificate: X509Certificate): void {
    if (this.#max === 0) return;
    this.#entries.push({ sni, session, certificate });
    if (this.#entries.length > this.#max) this.#entries.shift();
  }

  /** Takes the newest session of a name out: a ticket is used once (RFC 8446 appendix C.4), the server sends new ones. */
  take(sni: string): ResumableSession | undefined {
    const at = this.#entries.findLastIndex((entry) => entry.sni === sni);
    return at < 0 ? undefined : this.#entries.splice(at, 1)[0];
  }
}
