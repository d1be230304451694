// What a fault becomes as an HTTP answer: the only table of statuses, flags, details and bodies for requests. Envoy's, as
// observed on the wire.
import type { ProxyError, ProxyErrorCode } from "../error.ts";
import { flag } from "../telemetry/response-flag.ts";
import type { HeadError } from "../wire/http1-head.ts";

/** A reply that the proxy makes itself. */
export interface LocalReply {
  readonly status: number;
  /** Latin1; empty = no body. */
  readonly body: string;
  readonly details: string;
  readonly flags: number;
  /** Fields before the usual ones. */
  readonly headers?: readonly (readonly [string, string])[];
  /** Of the body, whatever fields say. Default: what they say, or text/plain. */
  readonly contentType?: string;
  /** Fields that take the place of what the reply would say otherwise. */
  readonly set?: readonly { readonly name: string; readonly value: string }[];
  /** Overrides the grpc-status that follows from the HTTP status. */
  readonly grpcStatus?: number;
  /** Close the downstream connection after it. */
  readonly close?: boolean;
}

/** Replies to requests the codec refused; all close the connection. */
export const headErrorReplies: Readonly<Record<HeadError, LocalReply>> = {
  codec_error: refused(400, "Bad Request", "http1.codec_error"),
  invalid_characters: refused(400, "Bad Request", "http1.invalid_characters"),
  invalid_url: refused(400, "Bad Request", "http1.invalid_url"),
  invalid_scheme: refused(400, "Bad Request", "http1.invalid_scheme"),
  invalid_authority: refused(400, "Bad Request", "http.invalid_authority"),
  connection_header_rejected: refused(400, "Bad Request", "http1.connection_header_rejected"),
  body_disallowed: refused(400, "Bad Request", "http1.body_disallowed"),
  invalid_transfer_encoding: refused(501, "Not Implemented", "http1.invalid_transfer_encoding"),
  content_length_and_chunked_not_allowed: refused(400, "Bad Request", "http1.content_length_and_chunked_not_allowed"),
  headers_too_large: refused(431, "Request Header Fields Too Large", "http1.headers_too_large"),
  too_many_headers: refused(431, "Request Header Fields Too Large", "http1.too_many_headers"),
  unexpected_underscore: refused(400, "Bad Request", "http1.unexpected_underscore"),
  low_version: refused(426, "Upgrade Required", "low_version"),
};

function refused(status: number, body: string, details: string): LocalReply {
  return { status, body, details, flags: flag.DPE, close: true };
}

/** A reply of the connection manager without a body. */
export function plainReply(status: number, details: string, flags = 0, close = false): LocalReply {
  return { status, body: "", details, flags, close };
}

/** Replies that never vary. */
export const replies = {
  missingHost: plainReply(400, "missing_host_header", 0, true),
  absolutePathRejected: plainReply(404, "absolute_path_rejected"),
  /** Well understood and not wanted: the connection can go on. */
  escapedSlashesRefused: plainReply(400, "path_normalization_failed"),
  pathNormalizationFailed: plainReply(400, "path_normalization_failed", 0, true),
  routeNotFound: plainReply(404, "route_not_found", flag.NR),
  connectRouteNotFound: plainReply(404, "route_not_found", flag.NR, true),
  upgradeFailed: plainReply(403, "upgrade_failed", 0, true),
  noHealthyUpstream: { status: 503, body: "no healthy upstream", details: "no_healthy_upstream", flags: flag.UH },
  responseTimeout: { status: 504, body: "upstream request timeout", details: "response_timeout", flags: flag.UT },
  perTryTimeout: { status: 504, body: "upstream request timeout", details: "upstream_per_try_timeout", flags: flag.UT },
  perTryIdleTimeout: { status: 504, body: "upstream request timeout", details: "upstream_per_try_idle_timeout", flags: flag.UT },
  streamIdleIncomplete: { status: 408, body: "stream timeout", details: "stream_idle_timeout", flags: flag.SI, close: true },
  streamIdleComplete: { status: 504, body: "stream timeout", details: "stream_idle_timeout", flags: flag.SI },
  upstreamDurationComplete: {
    status: 504,
    body: "upstream max stream duration reached",
    details: "upstream_max_stream_duration_reached",
    flags: flag.UMSDR,
  },
  upstreamDurationIncomplete: {
    status: 408,
    body: "upstream max stream duration reached",
    details: "upstream_max_stream_duration_reached",
    flags: flag.UMSDR,
  },
  maxDurationIncomplete: {
    status: 408,
    body: "downstream duration timeout",
    details: "max_duration_timeout",
    flags: 0,
    grpcStatus: 4,
    close: true,
  },
  maxDuration: { status: 504, body: "downstream duration timeout", details: "max_duration_timeout", flags: 0, grpcStatus: 4 },
  requestTimeout: { status: 408, body: "request timeout", details: "request_overall_timeout", flags: 0, close: true },
  requestHeaderTimeout: { status: 408, body: "request header timeout", details: "request_header_timeout", flags: 0, close: true },
  payloadTooLarge: { status: 413, body: "Payload Too Large", details: "request_payload_too_large", flags: 0 },
} as const satisfies Record<string, LocalReply>;

/** How an upstream fault reads: Envoy's reset reason, its flag and status. */
interface ResetReason {
  readonly text: string;
  readonly details: string;
  readonly flag: number;
  readonly status: number;
}

const connectionFailure: ResetReason = {
  text: "remote connection failure",
  details: "remote_connection_failure",
  flag: flag.UF,
  status: 503,
};
const connectionTermination: ResetReason = {
  text: "connection termination",
  details: "connection_termination",
  flag: flag.UC,
  status: 503,
};

const resetReasons: Readonly<Partial<Record<ProxyErrorCode, ResetReason>>> = {
  upstream_connect_refused: connectionFailure,
  upstream_connect_failed: connectionFailure,
  upstream_tls_failed: connectionFailure,
  upstream_connect_timeout: { text: "connection timeout", details: "connection_timeout", flag: flag.UF, status: 503 },
  upstream_reset: connectionTermination,
  upstream_closed: connectionTermination,
  upstream_remote_reset: { text: "remote reset", details: "remote_reset", flag: flag.UR, status: 503 },
  upstream_refused_stream: { text: "remote refused stream reset", details: "remote_refused_stream_reset", flag: flag.UR, status: 503 },
  upstream_protocol_error: { text: "protocol error", details: "protocol_error", flag: flag.UPE, status: 502 },
  upstream_overflow: { text: "overflow", details: "overflow", flag: flag.UO, status: 503 },
};
const internalReason: ResetReason = { text: "local reset", details: "local_reset", flag: flag.LR, status: 503 };

/** Envoy's flag for an upstream fault. */
export function resetFlag(error: ProxyError): number {
  return (resetReasons[error.code] ?? internalReason).flag;
}

/** Details of a fault after response headers went out. */
export function resetAfterResponseDetails(error: ProxyError): string {
  return `upstream_reset_after_response_started{${(resetReasons[error.code] ?? internalReason).details}}`;
}

const overloaded = [["x-envoy-overloaded", "true"]] as const;

/** The reply to an upstream fault before response headers. `retried`: at least one retry was made. */
export function resetReply(error: ProxyError, retried: boolean): LocalReply {
  const reason = resetReasons[error.code] ?? internalReason;
  // Spaces become underscores so that the details stay one word in the log; the reason is Envoy's transport failure text.
  const failure = error.reason === undefined || reason.details === "connection_timeout" ? "" : `|${error.reason.replaceAll(" ", "_")}`;
  const reply = {
    status: reason.status,
    body: `upstream connect error or disconnect/reset before headers. ${retried ? "retried and the latest reset reason" : "reset reason"}: ${reason.text}`,
    details: `upstream_reset_before_response_started{${reason.details}${failure}}`,
    flags: reason.flag,
  };
  return error.code === "upstream_overflow" ? { ...reply, headers: overloaded } : reply;
}
