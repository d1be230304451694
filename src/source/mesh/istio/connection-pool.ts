// ConnectionPoolSettings of a traffic policy. Istio cannot tell zero from absent, so zero counts mean "as by default" here too.
import { parseDurationSeconds, readDuration } from "../object/duration.ts";
import type { Fields } from "../object/fields.ts";

/** TCP keepalive probes; undefined leaves it to the operating system. */
export interface TcpKeepalive {
  readonly probes: number | undefined;
  /** Whole seconds. */
  readonly time: number | undefined;
  /** Whole seconds. */
  readonly interval: number | undefined;
}

/** ConnectionPoolSettings; counts are 0 and durations (proto3 JSON) undefined where not given. */
export interface ConnectionPool {
  readonly maxConnections: number;
  readonly connectTimeout: string | undefined;
  readonly keepalive: TcpKeepalive | undefined;
  readonly maxConnectionDuration: string | undefined;
  /** Of TCP connections, and of HTTP ones unless httpIdleTimeout is given. */
  readonly tcpIdleTimeout: string | undefined;
  readonly maxPendingRequests: number;
  readonly maxRequests: number;
  readonly maxRequestsPerConnection: number;
  readonly maxRetries: number;
  readonly httpIdleTimeout: string | undefined;
  /** Of one HTTP/2 connection. */
  readonly maxConcurrentStreams: number;
  /** Whether HTTP/1.1 goes on as HTTP/2; undefined: as the mesh says. */
  readonly h2Upgrade: boolean | undefined;
  /** The upstream is spoken to as the caller speaks. */
  readonly useClientProtocol: boolean;
}

const count = { min: 0, max: 0x7fff_ffff };

/** Reads `connectionPool`, or the field that stands for it. */
export function readConnectionPool(policy: Fields, key = "connectionPool"): ConnectionPool | undefined {
  const fields = policy.child(key);
  if (fields === undefined) return undefined;
  const tcp = fields.child("tcp");
  const http = fields.child("http");
  if (tcp === undefined && http === undefined) policy.error(key, "is empty, expected tcp or http");
  const pool: ConnectionPool = {
    maxConnections: tcp?.integer("maxConnections", count) ?? 0,
    connectTimeout: tcp && readDuration(tcp, "connectTimeout"),
    keepalive: tcp && readTcpKeepalive(tcp),
    maxConnectionDuration: tcp && readDuration(tcp, "maxConnectionDuration"),
    tcpIdleTimeout: tcp && readDuration(tcp, "idleTimeout"),
    maxPendingRequests: http?.integer("http1MaxPendingRequests", count) ?? 0,
    maxRequests: http?.integer("http2MaxRequests", count) ?? 0,
    maxRequestsPerConnection: http?.integer("maxRequestsPerConnection", count) ?? 0,
    maxRetries: http?.integer("maxRetries", count) ?? 0,
    httpIdleTimeout: http && readDuration(http, "idleTimeout"),
    maxConcurrentStreams: http?.integer("maxConcurrentStreams", count) ?? 0,
    h2Upgrade: http && readUpgradePolicy(http),
    useClientProtocol: http?.boolean("useClientProtocol") ?? false,
  };
  if (pool.useClientProtocol && pool.h2Upgrade) http?.error("useClientProtocol", "must not be true when h2UpgradePolicy is UPGRADE");
  for (const each of [tcp, http, fields]) each?.finish();
  return pool;
}

function readUpgradePolicy(http: Fields): boolean | undefined {
  const policy = http.oneOf("h2UpgradePolicy", ["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"]);
  return policy === undefined || policy === "DEFAULT" ? undefined : policy === "UPGRADE";
}

/** Reads `tcpKeepalive`, which MeshConfig has as well. */
export function readTcpKeepalive(parent: Fields): TcpKeepalive | undefined {
  const fields = parent.child("tcpKeepalive");
  if (fields === undefined) return undefined;
  const probes = fields.integer("probes", { min: 0, max: 0xffff_ffff }) ?? 0;
  const keepalive = {
    probes: probes === 0 ? undefined : probes,
    time: readSeconds(fields, "time"),
    interval: readSeconds(fields, "interval"),
  };
  fields.finish();
  return keepalive;
}

function readSeconds(fields: Fields, key: string): number | undefined {
  const text = readDuration(fields, key);
  return text === undefined ? undefined : Math.floor(parseDurationSeconds(text) ?? 0);
}
