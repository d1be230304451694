// The table of command operators: name to a function that compiles the argument to a read of StreamInfo.
// A read gives undefined when there is no value; numbers stay numbers, because JSON logs keep them.
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { hostName, oneLine, underscored } from "./escape.ts";
import { grpcStatusReads } from "./grpc-status.ts";
import { headerOperator, headersBytes, pathOperator, pseudoHeadersBytes, queryOperator, queryStringOperator } from "./header-operators.ts";
import type { CompileOperator, Read } from "./operator.ts";
import { formatFlags } from "../response-flag.ts";
import { longFlagNames } from "./response-flag-names.ts";
import { compileDatePattern, defaultDatePattern } from "./strftime.ts";
import type { IpPort, StreamInfo } from "../stream-info.ts";
import { tlsOperators } from "./tls-operators.ts";

const plain =
  (read: Read): CompileOperator =>
  (argument) =>
    argument === undefined ? read : { error: "takes no argument" };
const text = (read: (info: StreamInfo) => string): CompileOperator => plain((info) => oneLine(read(info)) || undefined);

/** Milliseconds between two stamps; undefined when either did not happen. */
function between(from: (info: StreamInfo) => number, to: (info: StreamInfo) => number): Read {
  return (info) => {
    const start = from(info);
    const end = to(info);
    return start === 0 || end === 0 ? undefined : Math.max(0, Math.trunc(end - start));
  };
}

const addressText = ({ ip, port }: IpPort): string => (ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`);
const address = (read: (info: StreamInfo) => IpPort): CompileOperator =>
  plain((info) => (read(info).ip === "" ? undefined : addressText(read(info))));
const ipOnly = (read: (info: StreamInfo) => IpPort): CompileOperator => plain((info) => read(info).ip || undefined);
const portOnly = (read: (info: StreamInfo) => IpPort): CompileOperator => plain((info) => read(info).port);

// Upstream addresses are kept as text; the port is what follows the last colon outside brackets.
const splitPort = (host: string): readonly [string, number] | undefined => {
  const colon = host.lastIndexOf(":");
  return colon < 0 ? undefined : [host.slice(0, colon).replace(/^\[|\]$/g, ""), Number(host.slice(colon + 1))];
};

// A host is chosen before there is a connection to it, whose remote address this is.
const upstreamRemote = (info: StreamInfo): string => (info.upstreamLocalAddress === "" ? "" : info.upstreamHost);

const commonPoints: Readonly<Record<string, (info: StreamInfo) => number>> = {
  DS_RX_BEG: (i) => i.startMs,
  DS_RX_END: (i) => i.lastDownstreamRxMs,
  US_TX_BEG: (i) => i.firstUpstreamTxMs,
  US_RX_BEG: (i) => i.firstUpstreamRxMs,
  US_RX_END: (i) => i.lastUpstreamRxMs,
  DS_TX_BEG: (i) => i.firstDownstreamTxMs,
  DS_TX_END: (i) => i.endMs,
};
const precisions: Readonly<Record<string, number>> = { ms: 1, us: 1e3, ns: 1e6 };

const commonDuration: CompileOperator = (argument = "") => {
  const [fromName = "", toName = "", precision = "ms", ...more] = argument.split(":");
  const from = commonPoints[fromName];
  const to = commonPoints[toName];
  const scale = precisions[precision];
  if (!from || !to || scale === undefined || more.length > 0) {
    return {
      error: `expected START:END or START:END:PRECISION with points ${Object.keys(commonPoints).join(", ")} and precision ms, us or ns`,
    };
  }
  return (info) => {
    const start = from(info);
    const end = to(info);
    return start === 0 || end === 0 ? undefined : Math.trunc((end - start) * scale);
  };
};

const startTime: CompileOperator = (argument) => {
  const compiled = compileDatePattern(argument === undefined || argument === "" ? defaultDatePattern : argument);
  return typeof compiled === "function" ? (info) => compiled(info.startWallMs) : compiled;
};

const emitTime: CompileOperator = (argument) => {
  const compiled = compileDatePattern(argument === undefined || argument === "" ? defaultDatePattern : argument);
  return typeof compiled === "function" ? () => compiled(Date.now()) : compiled;
};

function jsonValue(value: unknown): ReturnType<Read> {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "string") return oneLine(value);
  if (typeof value === "number" || typeof value === "boolean") return value;
  return typeof value === "object" ? inKeyOrder(value) : undefined;
}

// Structs have no order of their own; Envoy writes them by key.
function inKeyOrder(value: object): object {
  const ordered = (item: unknown): unknown => (typeof item === "object" && item !== null ? inKeyOrder(item) : item);
  if (Array.isArray(value)) return value.map(ordered);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, ordered(item)]));
}

const dynamicMetadata: CompileOperator = (argument) => {
  const [namespace, ...keys] = (argument ?? "").split(":");
  if (!namespace) return { error: "expected a namespace and keys, e.g. com.example:key" };
  return (info) => {
    let value: unknown = info.dynamicMetadata?.get(namespace);
    for (const key of keys) {
      if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
      value = (value as Record<string, unknown>)[key];
    }
    return jsonValue(value);
  };
};

const metadataKinds: Readonly<Record<string, (info: StreamInfo, namespace: string) => unknown>> = {
  DYNAMIC: (info, namespace) => info.dynamicMetadata?.get(namespace),
  ROUTE: (info, namespace) => ownMember(info.routeMetadata, namespace),
  UPSTREAM_HOST: (info, namespace) => ownMember(info.upstreamMetadata, namespace),
};

/** Kinds whose metadata is not kept for streams. */
const metadataElsewhere: ReadonlySet<string> = new Set(["CLUSTER", "VIRTUAL_HOST", "LISTENER", "LISTENER_FILTER_CHAIN"]);

const metadata: CompileOperator = (argument) => {
  const [kind = "", namespace, ...keys] = (argument ?? "").split(":");
  const from = Object.hasOwn(metadataKinds, kind) ? metadataKinds[kind] : undefined;
  if (from === undefined && namespace && metadataElsewhere.has(kind))
    return { warning: `metadata of kind ${kind} is always without a value` };
  if (from === undefined || !namespace)
    return { error: `expected one of ${Object.keys(metadataKinds).join(", ")}, a namespace and keys, e.g. ROUTE:com.example:key` };
  return (info) => {
    let value = from(info, namespace);
    for (const key of keys) value = ownMember(value, key);
    return jsonValue(value);
  };
};

function ownMember(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
}

const filterState: CompileOperator = (argument) => {
  const key = (argument ?? "").replace(/:(?:PLAIN|TYPED)$/, "");
  if (key === "") return { error: "expected the name of a filter state object" };
  const plainForm = argument !== key && argument?.endsWith(":PLAIN") === true;
  return (info) => {
    const own = info.filterState?.get(key);
    if (own === undefined) return jsonValue(info.connection.filterState?.get(key));
    return plainForm ? own.toString() : own.toJSON();
  };
};

// Envoy prints URX before the others for requests and in its place for TCP connections.
const flagOrder = (info: StreamInfo): readonly ["URX"] | readonly [] => (info.protocol === "" ? [] : ["URX"]);

/** Operators by name. */
export const operators: Readonly<Record<string, CompileOperator>> = {
  START_TIME: startTime,
  REQ: headerOperator("request"),
  RESP: headerOperator("response"),
  TRAILER: headerOperator("trailer"),
  PATH: pathOperator,
  QUERY_PARAM: queryOperator,
  QUERY_PARAMS: queryStringOperator,
  REQUEST_HEADERS_BYTES: plain((i) => headersBytes(i.requestHeaders) + pseudoHeadersBytes(i)),
  RESPONSE_HEADERS_BYTES: plain((i) => headersBytes(i.responseHeaders)),
  RESPONSE_TRAILERS_BYTES: plain((i) => headersBytes(i.responseTrailers)),
  ...grpcStatusReads,
  PROTOCOL: plain((i) => i.protocol || undefined),
  RESPONSE_CODE: plain((i) => i.responseCode),
  RESPONSE_CODE_DETAILS: (argument) =>
    argument === undefined
      ? (i) => underscored(i.responseCodeDetails) || undefined
      : argument === "ALLOW_WHITESPACES"
        ? (i) => oneLine(i.responseCodeDetails) || undefined
        : { error: "takes no argument but ALLOW_WHITESPACES" },
  CONNECTION_TERMINATION_DETAILS: text((i) => i.connectionTerminationDetails),
  RESPONSE_FLAGS: plain((i) => (i.flags === 0 ? "-" : formatFlags(i.flags, flagOrder(i)))),
  RESPONSE_FLAGS_LONG: plain((i) => (i.flags === 0 ? "-" : longFlagNames(i.flags, flagOrder(i)))),
  BYTES_RECEIVED: plain((i) => i.bytesReceived),
  BYTES_SENT: plain((i) => i.bytesSent),
  DURATION: plain(
    between(
      (i) => i.startMs,
      (i) => i.endMs,
    ),
  ),
  REQUEST_DURATION: plain(
    between(
      (i) => i.startMs,
      (i) => i.lastDownstreamRxMs,
    ),
  ),
  RESPONSE_DURATION: plain(
    between(
      (i) => i.startMs,
      (i) => i.firstUpstreamRxMs,
    ),
  ),
  RESPONSE_TX_DURATION: plain(
    between(
      (i) => i.firstUpstreamRxMs,
      (i) => i.endMs,
    ),
  ),
  COMMON_DURATION: commonDuration,
  UPSTREAM_HOST: text((i) => i.upstreamHost),
  UPSTREAM_REMOTE_ADDRESS: text(upstreamRemote),
  UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: plain((i) => splitPort(upstreamRemote(i))?.[0]),
  UPSTREAM_REMOTE_PORT: plain((i) => splitPort(upstreamRemote(i))?.[1]),
  UPSTREAM_CLUSTER: text((i) => i.upstreamCluster),
  UPSTREAM_CLUSTER_RAW: text((i) => i.upstreamCluster),
  UPSTREAM_LOCAL_ADDRESS: text((i) => i.upstreamLocalAddress),
  UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: plain((i) => splitPort(i.upstreamLocalAddress)?.[0]),
  UPSTREAM_LOCAL_PORT: plain((i) => splitPort(i.upstreamLocalAddress)?.[1]),
  UPSTREAM_TRANSPORT_FAILURE_REASON: plain((i) => underscored(i.upstreamTransportFailureReason) || undefined),
  UPSTREAM_PROTOCOL: plain((i) => i.upstreamProtocol || undefined),
  UPSTREAM_REQUEST_ATTEMPT_COUNT: plain((i) => i.attemptCount),
  DOWNSTREAM_LOCAL_ADDRESS: address((i) => i.connection.local),
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: ipOnly((i) => i.connection.local),
  DOWNSTREAM_LOCAL_PORT: portOnly((i) => i.connection.local),
  DOWNSTREAM_DIRECT_LOCAL_ADDRESS: address((i) => i.connection.directLocal),
  DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT: ipOnly((i) => i.connection.directLocal),
  DOWNSTREAM_DIRECT_LOCAL_PORT: portOnly((i) => i.connection.directLocal),
  DOWNSTREAM_REMOTE_ADDRESS: address((i) => i.remote),
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: ipOnly((i) => i.remote),
  DOWNSTREAM_REMOTE_PORT: portOnly((i) => i.remote),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: address((i) => i.connection.directRemote),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: ipOnly((i) => i.connection.directRemote),
  DOWNSTREAM_DIRECT_REMOTE_PORT: portOnly((i) => i.connection.directRemote),
  DOWNSTREAM_TRANSPORT_FAILURE_REASON: plain((i) => underscored(i.connection.transportFailureReason) || undefined),
  REQUESTED_SERVER_NAME: plain((i) => hostName(i.connection.serverName) || undefined),
  FILTER_CHAIN_NAME: text((i) => i.connection.filterChainName),
  ROUTE_NAME: text((i) => i.routeName),
  VIRTUAL_HOST_NAME: text((i) => i.virtualHostName),
  CONNECTION_ID: plain((i) => i.connection.id),
  STREAM_ID: plain((i) => i.requestHeaders?.get("x-request-id")),
  DYNAMIC_METADATA: dynamicMetadata,
  METADATA: metadata,
  UPSTREAM_METADATA: (argument, deps) => metadata(`UPSTREAM_HOST:${argument ?? ""}`, deps),
  UNIQUE_ID: plain(() => randomUUID()),
  EMIT_TIME: emitTime,
  FILTER_STATE: filterState,
  ENVIRONMENT: (argument, deps) => {
    if (!argument) return { error: "expected the name of an environment variable" };
    // A dash also where other operators would have null.
    const value = oneLine((deps.environment ?? process.env)[argument] ?? "") || "-";
    return () => value;
  },
  HOSTNAME: (argument, deps) => {
    const name = deps.hostname ?? hostname();
    return argument === undefined ? () => name : { error: "takes no argument" };
  },
  ...tlsOperators,
};

/** Envoy's operators about things this proxy does not have or does not measure: accepted, with a warning, never with a value. */
export const unavailable: ReadonlySet<string> = new Set([
  "START_TIME_LOCAL", "EMIT_TIME_LOCAL", "VIRTUAL_CLUSTER_NAME", "TRACE_ID", "SPAN_ID", "LOCAL_REPLY_BODY", "ACCESS_LOG_TYPE", "CUSTOM_FLAGS",
  "CLUSTER_METADATA", "UPSTREAM_FILTER_STATE", "UPSTREAM_HOST_NAME", "UPSTREAM_HOST_NAME_WITHOUT_PORT",
  "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT", "UPSTREAM_HOST_NAMES_ATTEMPTED", "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT",
  "UPSTREAM_CONNECTION_IDS_ATTEMPTED", "UPSTREAM_SERVER_NAME", "REQUEST_TX_DURATION", "DOWNSTREAM_CX_RTT",
  "DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID", "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID", "UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID", "UPSTREAM_HOSTS_ATTEMPTED", "UPSTREAM_LOCAL_CLOSE_REASON",
  "UPSTREAM_DETECTED_CLOSE_TYPE", "DOWNSTREAM_DETECTED_CLOSE_TYPE", "DOWNSTREAM_LOCAL_CLOSE_REASON", "ROUNDTRIP_DURATION",
  "DOWNSTREAM_HANDSHAKE_DURATION", "UPSTREAM_CONNECTION_POOL_READY_DURATION", "UPSTREAM_CONNECTION_ID", "UPSTREAM_WIRE_BYTES_SENT",
  "UPSTREAM_WIRE_BYTES_RECEIVED", "UPSTREAM_HEADER_BYTES_SENT", "UPSTREAM_HEADER_BYTES_RECEIVED", "DOWNSTREAM_WIRE_BYTES_SENT",
  "DOWNSTREAM_WIRE_BYTES_RECEIVED", "DOWNSTREAM_HEADER_BYTES_SENT", "DOWNSTREAM_HEADER_BYTES_RECEIVED", "DOWNSTREAM_TLS_GROUP",
  "UPSTREAM_TLS_GROUP", "DOWNSTREAM_PEER_OTHERNAME_SAN", "DOWNSTREAM_LOCAL_OTHERNAME_SAN", "TLS_JA3_FINGERPRINT", "TLS_JA4_FINGERPRINT",
]); // prettier-ignore
