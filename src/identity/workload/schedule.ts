// When to renew a certificate and when to try again after a failure. Arithmetic only.

/** When certificates are renewed. */
export interface RenewalSettings {
  /** The part of the life that is left when it is renewed: Istio's SECRET_GRACE_PERIOD_RATIO. Default 0.5. */
  readonly graceRatio: number;
  /** How far that may move either way, so that a fleet does not renew at once: Istio's SECRET_GRACE_PERIOD_RATIO_JITTER. Default 0.01. */
  readonly graceJitter: number;
}

/** Istio's defaults. */
export const defaultRenewal: RenewalSettings = { graceRatio: 0.5, graceJitter: 0.01 };

/**
 * The moment to renew, in milliseconds since the epoch. Life is counted from when the certificate came, as Istio does.
 * @param random a number from 0 up to 1
 */
export function renewalTimeMs(receivedMs: number, expiresMs: number, settings: RenewalSettings, random: number): number {
  const moved = settings.graceRatio + (2 * random - 1) * settings.graceJitter;
  const ratio = Math.min(1, Math.max(0, moved));
  return Math.max(receivedMs, expiresMs - ratio * (expiresMs - receivedMs));
}

const firstBackOffMs = 1_000;
const longestBackOffMs = 60_000;

/**
 * How long to wait after so many failures in a row (1 and up): 1 s, doubled each time up to a minute, less up to a quarter so that
 * those who failed together do not come back together.
 */
export function backOffMs(failures: number, random: number): number {
  const whole = Math.min(longestBackOffMs, firstBackOffMs * 2 ** Math.min(failures - 1, 16));
  return whole * (1 - random / 4);
}
