// Connection pool settings of a cluster as Envoy's fields: limits, timeouts and keepalive.
import type { Json } from "../envoy-json.ts";
import type { ConnectionPool, TcpKeepalive } from "../istio/connection-pool.ts";
import type { MeshConfig } from "../mesh-config.ts";

// Istio lifts Envoy's circuit breakers unless a DestinationRule sets them.
const unlimited = 0xffff_ffff;

/** Limits, connect timeout and keepalive of a cluster; without a pool, what holds by default. */
export function connectionPoolFields(config: MeshConfig, pool?: ConnectionPool): Json {
  return {
    connect_timeout: pool?.connectTimeout ?? config.connectTimeout,
    circuit_breakers: {
      thresholds: [
        {
          max_connections: pool?.maxConnections || unlimited,
          max_pending_requests: pool?.maxPendingRequests || unlimited,
          max_requests: pool?.maxRequests || unlimited,
          max_retries: pool?.maxRetries || unlimited,
        },
      ],
    },
    ...keepaliveFields([config.tcpKeepalive, pool?.keepalive]),
  };
}

/** `common_http_protocol_options`, or undefined when the pool says nothing about HTTP connections. */
export function commonHttpOptions(pool: ConnectionPool | undefined): Json | undefined {
  const idleTimeout = pool?.httpIdleTimeout ?? pool?.tcpIdleTimeout;
  const options: Json = {
    ...(idleTimeout === undefined ? {} : { idle_timeout: idleTimeout }),
    ...(pool === undefined || pool.maxRequestsPerConnection === 0 ? {} : { max_requests_per_connection: pool.maxRequestsPerConnection }),
    ...(pool?.maxConnectionDuration === undefined ? {} : { max_connection_duration: pool.maxConnectionDuration }),
  };
  // Istio writes them, even empty, where the pool says anything about HTTP connections.
  const said = pool !== undefined && (pool.useClientProtocol || pool.maxConcurrentStreams > 0);
  return Object.keys(options).length === 0 && !said ? undefined : options;
}

/** Settings in order, each overriding field by field what came before. */
function keepaliveFields(settings: readonly (TcpKeepalive | undefined)[]): Json {
  const given = settings.filter((each) => each !== undefined);
  if (given.length === 0) return {};
  const [probes, time, interval] = (["probes", "time", "interval"] as const).map(
    (key) => given.findLast((each) => each[key] !== undefined)?.[key],
  );
  const keepalive = {
    ...(probes === undefined ? {} : { keepalive_probes: probes }),
    ...(time === undefined ? {} : { keepalive_time: time }),
    ...(interval === undefined ? {} : { keepalive_interval: interval }),
  };
  return { upstream_connection_options: { tcp_keepalive: keepalive } };
}
