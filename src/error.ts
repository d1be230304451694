// The one error class of the data path and its closed list of codes. What a code means on the wire (status, flag,
// details) is decided in one table per protocol: http/local-reply.ts for requests, telemetry/response-flag.ts names flags.

/** Why a connection or request failed, as far as the proxy can tell. */
export type ProxyErrorCode =
  | "upstream_connect_refused"
  | "upstream_connect_timeout"
  | "upstream_connect_failed"
  | "upstream_tls_failed"
  | "upstream_reset"
  | "upstream_closed"
  | "upstream_remote_reset"
  | "upstream_refused_stream"
  | "upstream_protocol_error"
  | "upstream_overflow"
  | "no_healthy_upstream"
  | "cluster_not_found"
  | "downstream_protocol_error"
  | "downstream_closed"
  | "internal";

/** Which side caused a fault. */
export type ProxyErrorSide = "downstream" | "upstream" | "internal";

/** What is known about a fault beside its code. */
export interface ProxyErrorOptions {
  readonly side: ProxyErrorSide;
  /** True when the request was certainly not processed, so another attempt is safe. Default false. */
  readonly retryable?: boolean;
  /** Envoy's transport failure reason, e.g. `delayed connect error: Connection refused`. */
  readonly reason?: string;
  readonly cause?: unknown;
}

/** A fault on the data path. Never crosses a socket callback as an exception: it is passed as a value. */
export class ProxyError extends Error {
  readonly code: ProxyErrorCode;
  readonly side: ProxyErrorSide;
  readonly retryable: boolean;
  readonly reason: string | undefined;

  constructor(code: ProxyErrorCode, options: ProxyErrorOptions) {
    super(options.reason ? `${code}: ${options.reason}` : code, { cause: options.cause });
    this.name = "ProxyError";
    this.code = code;
    this.side = options.side;
    this.retryable = options.retryable ?? false;
    this.reason = options.reason;
  }

  /** Wraps anything thrown; a ProxyError passes as it is. */
  static from(thrown: unknown): ProxyError {
    return thrown instanceof ProxyError ? thrown : new ProxyError("internal", { side: "internal", cause: thrown });
  }
}

/** How bad an issue is: `error` refuses the resource, `warning` accepts it with the field not honoured or suspicious. */
export type Severity = "error" | "warning";

/** One thing wrong with configuration. `path` is the way to the value from the resource's root. */
export interface Issue {
  readonly severity: Severity;
  readonly path: readonly (string | number)[];
  /** What is wrong and what was expected, one sentence without a full stop. */
  readonly message: string;
}

/** A result whose failure is expected: the value (with warnings) or every issue found. */
export type Result<T> =
  | { readonly ok: true; readonly value: T; readonly issues: readonly Issue[] }
  | { readonly ok: false; readonly issues: readonly Issue[] };
