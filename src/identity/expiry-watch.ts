// Warns of certificates that will expire: one line when a fifth of a life is left, one when it is over.
import type { X509Certificate } from "node:crypto";
import type { Clock, Timer } from "../clock.ts";
import type { Logger } from "../telemetry/logger.ts";
import { nameOf, type CertificateEntry } from "./inventory.ts";

/** The part of a life that is left when the warning comes. Renewals happen at half of it, so something has gone wrong then. */
const warnRatio = 0.2;
/** Time is looked at this often at least: a machine may sleep, and its clock may be set. */
const longestSleepMs = 3_600_000;

interface Watched {
  readonly source: string;
  readonly certificate: X509Certificate;
}

/** Watches the certificates of the configuration in force. */
export class ExpiryWatch {
  readonly #clock: Clock;
  readonly #logger: Logger;
  #watched: readonly Watched[] = [];
  /** Fingerprints that each line was said of. */
  readonly #warned = new Set<string>();
  readonly #expired = new Set<string>();
  #timer: Timer | undefined;

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Watches these from now on, and no others. */
  follow(entries: readonly CertificateEntry[]): void {
    this.#watched = entries.flatMap(({ source, chain, authorities }) =>
      [...chain, ...authorities].map((certificate) => ({ source, certificate })),
    );
    const known = new Set(this.#watched.map(({ certificate }) => certificate.fingerprint256));
    for (const said of [this.#warned, this.#expired]) for (const print of said) if (!known.has(print)) said.delete(print);
    this.#look();
  }

  close(): void {
    this.#timer?.cancel();
  }

  #look(): void {
    this.#timer?.cancel();
    if (this.#watched.length === 0) return;
    const nowMs = this.#clock.wallMs();
    let nextMs = nowMs + longestSleepMs;
    for (const watched of this.#watched) {
      const { validFromDate, validToDate } = watched.certificate;
      const endMs = validToDate.getTime();
      const warnMs = endMs - warnRatio * (endMs - validFromDate.getTime());
      if (nowMs >= endMs) this.#say(this.#expired, watched, "certificate has expired");
      else if (nowMs >= warnMs) this.#say(this.#warned, watched, "certificate will expire soon");
      for (const momentMs of [warnMs, endMs]) if (momentMs > nowMs) nextMs = Math.min(nextMs, momentMs);
    }
    this.#timer = this.#clock.after(nextMs - nowMs, () => this.#look());
  }

  #say(said: Set<string>, { source, certificate }: Watched, message: string): void {
    if (said.has(certificate.fingerprint256)) return;
    said.add(certificate.fingerprint256);
    this.#logger.warn(message, {
      source,
      identity: nameOf(certificate),
      serial: certificate.serialNumber.toLowerCase(),
      expires: certificate.validToDate.toISOString(),
    });
  }
}
