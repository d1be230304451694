// What a trusted client asks of the router by header: timeouts and retries of its own request. Whoever is not trusted had these
// headers taken away before.
import type { RetryPolicy } from "../../../envoy/route/route.ts";
import type { HeaderMap } from "../../../wire/header-map.ts";

/** What was asked for; undefined where nothing was. */
export interface RequestControls {
  readonly timeoutMs: number | undefined;
  readonly perTryTimeoutMs: number | undefined;
  readonly retryPolicy: RetryPolicy | undefined;
  /** x-envoy-upstream-stream-duration-ms: the longest an attempt may take. */
  readonly streamDurationMs: number | undefined;
  /** x-envoy-hedge-on-per-try-timeout: takes the place of the route's. */
  readonly hedge: boolean | undefined;
  /** A timeout is answered with 204 instead of 504. */
  readonly alternativeTimeoutStatus: boolean;
}

/** What applies where nobody asks. */
export const noControls: RequestControls = {
  timeoutMs: undefined,
  perTryTimeoutMs: undefined,
  retryPolicy: undefined,
  streamDurationMs: undefined,
  hedge: undefined,
  alternativeTimeoutStatus: false,
};

/** Envoy's defaults of a policy that a route does not have. */
export const emptyPolicy: RetryPolicy = {
  retryOn: [],
  numRetries: 1,
  perTryTimeoutMs: 0,
  perTryIdleTimeoutMs: 0,
  retriableStatusCodes: [],
  retriableHeaders: [],
  retriableRequestHeaders: [],
  backOffBaseMs: 25,
  backOffMaxMs: 250,
  avoidPreviousHosts: false,
  hostSelectionRetryMaxAttempts: 1,
};

/**
 * Reads and takes away the control headers of a request.
 * @param policy the route's, which headers add to
 */
export function takeControls(headers: HeaderMap, policy: RetryPolicy | undefined): RequestControls {
  const take = (name: string): string | undefined => {
    const value = headers.get(name);
    if (value !== undefined) headers.remove(name);
    return value;
  };
  const timeoutMs = whole(take("x-envoy-upstream-rq-timeout-ms"));
  const perTryTimeoutMs = whole(take("x-envoy-upstream-rq-per-try-timeout-ms"));
  const alternativeTimeoutStatus = take("x-envoy-upstream-rq-timeout-alt-response") !== undefined;
  const conditions = [...items(take("x-envoy-retry-on")), ...items(take("x-envoy-retry-grpc-on"))];
  const streamDurationMs = whole(take("x-envoy-upstream-stream-duration-ms"));
  // All counters are the cluster's own.
  take("x-envoy-upstream-alt-stat-name");
  const hedging = take("x-envoy-hedge-on-per-try-timeout");
  const hedge = hedging === "true" ? true : hedging === "false" ? false : undefined;
  const maxRetries = whole(take("x-envoy-max-retries"));
  const codes = items(take("x-envoy-retriable-status-codes")).flatMap((code) => whole(code) ?? []);
  const names = items(take("x-envoy-retriable-header-names"));
  const asked = conditions.length > 0 || (policy !== undefined && (maxRetries !== undefined || codes.length + names.length > 0));
  const base = policy ?? emptyPolicy;
  const retryPolicy = asked
    ? {
        ...base,
        retryOn: [...base.retryOn, ...conditions],
        numRetries: maxRetries ?? base.numRetries,
        retriableStatusCodes: [...base.retriableStatusCodes, ...codes],
        retriableHeaders: [...base.retriableHeaders, ...names.map(present)],
      }
    : undefined;
  return { timeoutMs, perTryTimeoutMs, retryPolicy, streamDurationMs, hedge, alternativeTimeoutStatus };
}

function present(name: string): RetryPolicy["retriableHeaders"][number] {
  return { name: name.toLowerCase(), match: { kind: "present", present: true }, invertMatch: false, treatMissingHeaderAsEmpty: false };
}

function items(list: string | undefined): readonly string[] {
  return (list ?? "")
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

function whole(text: string | undefined): number | undefined {
  return text !== undefined && /^[0-9]{1,9}$/.test(text) ? Number(text) : undefined;
}
