// Envoy core.v3.HealthCheck with its decoder: how hosts are asked whether they are well.
import { decodeHeaderValueOption } from "../route/header-mutations.ts";
import type { HeaderValueOption } from "../route/route.ts";
import { decodeStringMatcher, type StringMatcher } from "../string-matcher.ts";
import type { Cursor, Decoder } from "../decode/cursor.ts";
import { type Fields, message } from "../decode/message.ts";
import {
  bool,
  bytes,
  duration,
  enumeration,
  headerName,
  int64,
  list,
  port,
  positiveDuration,
  struct,
  text,
  uint32,
} from "../decode/scalars.ts";

/** A range of statuses, its end not included. */
export interface StatusRange {
  readonly start: number;
  readonly end: number;
}

/** How a check asks and what it takes for an answer. */
export type HealthCheckKind =
  | {
      readonly kind: "http";
      /** Empty: the endpoint's health check host name, or the cluster's name. */
      readonly host: string;
      readonly path: string;
      readonly method: string;
      readonly http2: boolean;
      /** The request's body. */
      readonly send: Uint8Array;
      /** What the body of the response has to contain, in this order. */
      readonly receive: readonly Uint8Array[];
      /** How much of the body is looked at; default 1024, 0 = all of it. */
      readonly responseBufferBytes: number;
      readonly headersToAdd: readonly HeaderValueOption[];
      readonly headersToRemove: readonly string[];
      /** Default 200 alone. */
      readonly expectedStatuses: readonly StatusRange[];
      /** Failures that only count towards the unhealthy threshold, as failures of the network do. */
      readonly retriableStatuses: readonly StatusRange[];
      /** What x-envoy-upstream-healthchecked-cluster of the response has to match. */
      readonly serviceName: StringMatcher | undefined;
    }
  | { readonly kind: "tcp"; readonly send: Uint8Array; readonly receive: readonly Uint8Array[] }
  | {
      readonly kind: "grpc";
      readonly serviceName: string;
      /** Empty: as the host of an HTTP check. */
      readonly authority: string;
      readonly initialMetadata: readonly HeaderValueOption[];
    };

/** core.v3.HealthCheck. Times in milliseconds. */
export interface HealthCheck {
  readonly check: HealthCheckKind;
  readonly timeoutMs: number;
  readonly intervalMs: number;
  /** The first check of a host comes up to this much later; default 0. */
  readonly initialJitterMs: number;
  readonly intervalJitterMs: number;
  readonly intervalJitterPercent: number;
  readonly unhealthyThreshold: number;
  readonly healthyThreshold: number;
  /** The port asked in place of the endpoint's; 0 = none. */
  readonly altPort: number;
  /** Default true. */
  readonly reuseConnection: boolean;
  /** Between checks as long as the cluster has had no connection; default 60 s. */
  readonly noTrafficIntervalMs: number;
  /** The same for hosts that are well; default `noTrafficIntervalMs`. */
  readonly noTrafficHealthyIntervalMs: number;
  /** Default `intervalMs`. */
  readonly unhealthyIntervalMs: number;
  /** After a failure that did not yet make the host unhealthy; default `unhealthyIntervalMs`. */
  readonly unhealthyEdgeIntervalMs: number;
  /** After a success that did not yet make the host healthy; default `intervalMs`. */
  readonly healthyEdgeIntervalMs: number;
  /** Every failure goes to the log, not the first of a row alone. */
  readonly alwaysLogFailures: boolean;
  readonly alwaysLogSuccess: boolean;
  /** tls_options.alpn_protocols; empty = as for requests. */
  readonly alpnProtocols: readonly string[];
  /** Chooses among transport_socket_matches in place of the endpoint's metadata. */
  readonly transportSocketMatch: Readonly<Record<string, unknown>> | undefined;
}

const hexText: Decoder<Uint8Array> = (json, at) => {
  const value = text(json, at);
  if (value === "" || !/^([0-9a-f]{2})+$/i.test(value)) at.error(`expected hexadecimal digits in pairs, got ${JSON.stringify(value)}`);
  return Buffer.from(value, "hex");
};

const decodePayload = message("envoy.config.core.v3.HealthCheck.Payload", (m) =>
  m.requiredOneof<Uint8Array>({ text: hexText, binary: bytes }, Buffer.alloc(0)),
);

const decodeRange = message("envoy.type.v3.Int64Range", (m) => ({ start: m.field("start", int64, 0), end: m.field("end", int64, 0) }));

function statuses(json: unknown, at: Cursor): readonly StatusRange[] {
  const ranges = list(decodeRange)(json, at);
  ranges.forEach(({ start, end }, index) => {
    if (start < 100 || end > 600 || start >= end) at.error(`expected statuses from 100 below 600, got [${start}, ${end})`, index);
  });
  return ranges;
}

const codec = enumeration({ HTTP1: 0, HTTP2: 1, HTTP3: 2 });
const method = enumeration({
  METHOD_UNSPECIFIED: 0,
  GET: 1,
  HEAD: 2,
  POST: 3,
  PUT: 4,
  DELETE: 5,
  OPTIONS: 7,
  TRACE: 8,
  PATCH: 9,
});
const bodyMethods = new Set(["POST", "PUT", "PATCH", "OPTIONS"]);
const headers = list(decodeHeaderValueOption, { max: 1000 });

const checkedPath: Decoder<string> = (json, at) => {
  const value = text(json, at);
  // Whatever ends a line or a request target would be a request of its own.
  if (value === "" || /[\0-\x20\x7f]/.test(value)) at.error(`expected a path, got ${JSON.stringify(value)}`);
  return value;
};

const checkedHost: Decoder<string> = (json, at) => {
  const value = text(json, at);
  if (/[\0-\x20\x7f]/.test(value)) at.error(`expected a host, got ${JSON.stringify(value)}`);
  return value;
};

const decodeHttp = message("envoy.config.core.v3.HealthCheck.HttpHealthCheck", (m): HealthCheckKind => {
  const named = m.field("method", method, "GET");
  const verb = named === "METHOD_UNSPECIFIED" ? "GET" : named;
  const send = m.field("send", decodePayload, Buffer.alloc(0));
  if (send.length > 0 && !bodyMethods.has(verb)) m.at.error(`a ${verb} request has no body`, "send");
  const client = m.field("codec_client_type", codec, "HTTP1");
  if (client === "HTTP3") m.at.error("not supported: HTTP/3", "codec_client_type");
  return {
    kind: "http",
    host: m.field("host", checkedHost, ""),
    path: m.required("path", checkedPath),
    method: verb,
    http2: client === "HTTP2",
    send,
    receive: m.field("receive", list(decodePayload), []),
    responseBufferBytes: m.field("response_buffer_size", int64, 1024),
    headersToAdd: m.field("request_headers_to_add", headers, []),
    headersToRemove: m.field("request_headers_to_remove", list(headerName), []),
    expectedStatuses: m.field("expected_statuses", statuses, []),
    retriableStatuses: m.field("retriable_statuses", statuses, []),
    serviceName: m.field("service_name_matcher", decodeStringMatcher, undefined),
  };
});

const decodeTcp = message("envoy.config.core.v3.HealthCheck.TcpHealthCheck", (m): HealthCheckKind => {
  m.refuse("PROXY protocol in health checks", "proxy_protocol_config");
  return { kind: "tcp", send: m.field("send", decodePayload, Buffer.alloc(0)), receive: m.field("receive", list(decodePayload), []) };
});

const decodeGrpc = message("envoy.config.core.v3.HealthCheck.GrpcHealthCheck", (m): HealthCheckKind => ({
  kind: "grpc",
  serviceName: m.field("service_name", text, ""),
  authority: m.field("authority", checkedHost, ""),
  initialMetadata: m.field("initial_metadata", headers, []),
}));

const decodeTlsOptions = message("envoy.config.core.v3.HealthCheck.TlsOptions", (m) => m.field("alpn_protocols", list(text), []));
const connectCheck: HealthCheckKind = { kind: "tcp", send: Buffer.alloc(0), receive: [] };

/** core.v3.HealthCheck. */
export const decodeHealthCheck: Decoder<HealthCheck> = message("envoy.config.core.v3.HealthCheck", (m: Fields) => {
  m.refuse("health checks of this kind", "custom_health_check");
  // Who is told of changes, beside the process log and the stats; hosts are judged the same way without.
  m.ignore("event_log_path", "event_logger", "event_service");
  const intervalMs = m.required("interval", positiveDuration);
  const noTrafficIntervalMs = m.field("no_traffic_interval", positiveDuration, 60_000);
  const unhealthyIntervalMs = m.field("unhealthy_interval", positiveDuration, intervalMs);
  return {
    check: m.requiredOneof<HealthCheckKind>(
      { http_health_check: decodeHttp, tcp_health_check: decodeTcp, grpc_health_check: decodeGrpc },
      connectCheck,
    ),
    timeoutMs: m.required("timeout", positiveDuration),
    intervalMs,
    initialJitterMs: m.field("initial_jitter", duration, 0),
    intervalJitterMs: m.field("interval_jitter", duration, 0),
    intervalJitterPercent: m.field("interval_jitter_percent", uint32, 0),
    unhealthyThreshold: m.required("unhealthy_threshold", uint32),
    healthyThreshold: m.required("healthy_threshold", uint32),
    altPort: m.field("alt_port", port, 0),
    reuseConnection: m.field("reuse_connection", bool, true),
    noTrafficIntervalMs,
    noTrafficHealthyIntervalMs: m.field("no_traffic_healthy_interval", positiveDuration, noTrafficIntervalMs),
    unhealthyIntervalMs,
    unhealthyEdgeIntervalMs: m.field("unhealthy_edge_interval", positiveDuration, unhealthyIntervalMs),
    healthyEdgeIntervalMs: m.field("healthy_edge_interval", positiveDuration, intervalMs),
    alwaysLogFailures: m.field("always_log_health_check_failures", bool, false),
    alwaysLogSuccess: m.field("always_log_health_check_success", bool, false),
    alpnProtocols: m.field("tls_options", decodeTlsOptions, []),
    transportSocketMatch: m.field("transport_socket_match_criteria", struct, undefined),
  };
});
