// A workload certificate that renews itself: issued at the start, again when half its life is over, and sooner or later after a
// failure; the old one stays until a new one is there.
import { X509Certificate } from "node:crypto";
import type { Clock, Timer } from "../../clock.ts";
import type { Logger } from "../../telemetry/logger.ts";
import { formatSpiffeId, type WorkloadIdentity } from "../ca/spiffe-id.ts";
import { nameOf } from "../inventory.ts";
import type { CertificateIssuer, Issued } from "./issuer.ts";
import { backOffMs, renewalTimeMs, type RenewalSettings } from "./schedule.ts";
import { workloadSecrets, WorkloadSecrets, type FeedStart, type SecretFeed } from "./secret-feed.ts";

/** What a feed of issued certificates is given. */
export interface IssuedFeedDeps {
  readonly issuer: CertificateIssuer;
  /** Whose certificate it is, asked at each issue; undefined while nobody knows. */
  readonly identity: () => WorkloadIdentity | undefined;
  readonly renewal: RenewalSettings;
  readonly clock: Clock;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly logger: Logger;
  readonly onChange: () => void;
}

/** Time is looked at this often at least: a machine that slept, or whose clock was set, renews soon after and not hours later. */
const longestSleepMs = 60_000;
/** Nothing is renewed sooner: what an authority makes in its last days lives shorter each time, and a clock may be wrong. */
const shortestLifeMs = 1_000;

/** A feed that can be told to issue anew. */
export interface RenewableFeed extends SecretFeed {
  /** Issues now: the authority is another one. True when that went well. */
  renew(): Promise<boolean>;
}

/** A certificate from an issuer. */
export function createIssuedFeed(deps: IssuedFeedDeps): RenewableFeed {
  return new IssuedFeed(deps);
}

class IssuedFeed extends WorkloadSecrets implements RenewableFeed {
  readonly #deps: IssuedFeedDeps;
  #timer: Timer | undefined;
  #failures = 0;
  #expiresMs = 0;
  #issuedTo: string | undefined;
  #issuing: Promise<Issued> | undefined;

  constructor(deps: IssuedFeedDeps) {
    super();
    this.#deps = deps;
  }

  async start(): Promise<FeedStart> {
    const issued = await this.#issue();
    return issued.ok ? { ok: true } : { ok: false, fatal: issued.fatal, problems: [issued.problem] };
  }

  refresh(): Promise<boolean> {
    const identity = this.#deps.identity();
    const current = this.ready && this.#failures === 0 && (identity && formatSpiffeId(identity)) === this.#issuedTo;
    // Not waited for: configuration that is new must not wait for an authority that does not answer.
    if (!current) void this.renew();
    return Promise.resolve(true);
  }

  async renew(): Promise<boolean> {
    return (await this.#issue()).ok;
  }

  close(): void {
    this.closed = true;
    this.#timer?.cancel();
    this.#deps.issuer.close?.();
  }

  #issue(): Promise<Issued> {
    this.#issuing ??= this.#issueNow().finally(() => (this.#issuing = undefined));
    return this.#issuing;
  }

  async #issueNow(): Promise<Issued> {
    this.#timer?.cancel();
    const identity = this.#deps.identity();
    const issued: Issued = identity
      ? await this.#deps.issuer.issue(identity)
      : {
          ok: false,
          fatal: true,
          problem: "nobody said who this workload is: give --identity, or a node with namespace and service account",
        };
    if (this.closed) return issued;
    if (issued.ok) this.#accept(issued, identity);
    else this.#retryLater(issued.problem);
    return issued;
  }

  #accept({ certificate, trustedCa }: Issued & { readonly ok: true }, identity: WorkloadIdentity | undefined): void {
    const { clock, logger, renewal, random, onChange } = this.#deps;
    const nowMs = clock.wallMs();
    this.#failures = 0;
    this.#issuedTo = identity && formatSpiffeId(identity);
    this.held = workloadSecrets(certificate, trustedCa);
    const leaf = new X509Certificate(certificate.certificateChain);
    this.#expiresMs = leaf.validToDate.getTime();
    const renewMs = Math.max(nowMs + shortestLifeMs, renewalTimeMs(nowMs, this.#expiresMs, renewal, random()));
    // Istiod goes by the token. Peers go by the certificate, so a workload that is taken for another had better know.
    if (this.#issuedTo !== undefined && nameOf(leaf) !== this.#issuedTo)
      logger.warn("the certificate is for another identity than asked for", { identity: nameOf(leaf), asked: this.#issuedTo });
    logger.info("workload certificate issued", {
      identity: nameOf(leaf),
      expires: new Date(this.#expiresMs).toISOString(),
      renewal: new Date(renewMs).toISOString(),
    });
    this.#sleepUntil(renewMs);
    onChange();
  }

  #retryLater(problem: string): void {
    const { clock, logger, random } = this.#deps;
    const delayMs = backOffMs(++this.#failures, random());
    logger.warn(this.ready ? "workload certificate cannot be renewed, the one in use stays" : "workload certificate cannot be issued", {
      problem,
      ...(this.ready ? { expires: new Date(this.#expiresMs).toISOString() } : {}),
      retryInMs: Math.round(delayMs),
    });
    this.#sleepUntil(clock.wallMs() + delayMs);
  }

  #sleepUntil(atMs: number): void {
    const { clock } = this.#deps;
    this.#timer?.cancel();
    const leftMs = atMs - clock.wallMs();
    this.#timer = clock.after(Math.max(0, Math.min(leftMs, longestSleepMs)), () => {
      if (this.closed) return;
      if (clock.wallMs() >= atMs) void this.#issue();
      else this.#sleepUntil(atMs);
    });
  }
}
