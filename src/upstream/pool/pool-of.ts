// Which pool a request takes its connection from: one for each host, protocol, ALPN offer, name of the server and source
// address.
import type { Clock } from "../../clock.ts";
import type { UpstreamSource } from "../../telemetry/stream-info.ts";
import type { Priority } from "../circuit-breakers.ts";
import type { DialOptions, Host, UpstreamCluster } from "../cluster.ts";
import { AutoPool } from "./auto-pool.ts";
import type { HttpPool } from "./exchange.ts";
import { Http1Pool } from "./http1-pool.ts";
import { Http2Pool } from "./http2-pool.ts";
import type { PoolSettings } from "./pool-dialer.ts";

/** The server's name as a request has it; connections are shared by requests with the same. */
export interface RequestedServer {
  /** Empty sends none. */
  readonly sni: string;
  /** Empty asks for none. */
  readonly verifyNames: readonly string[];
  /** Tells it from others. */
  readonly key: string;
}

/**
 * The pool of a host, made on first use.
 * @param downstream the protocol the request came in with, which the cluster may want to keep
 * @param alpn offered instead of the cluster's own, with the key that tells it from others
 * @param server undefined = the cluster's own name
 * @param source undefined = this machine's own address
 * @param priority whose circuit breakers its requests and connections count against
 */
export function poolOf(
  host: Host,
  cluster: UpstreamCluster,
  downstream: string,
  alpn: readonly string[] | undefined,
  alpnKey: string,
  server: RequestedServer | undefined,
  source: UpstreamSource | undefined,
  clock: Clock,
  priority: Priority,
): HttpPool {
  const pools = (host.pools ??= new Map());
  const follows = cluster.model.http.protocol === "downstream" && downstream === "HTTP/2";
  let key = follows ? `h2,${alpnKey}` : alpnKey;
  if (priority === "high") key = `high ${key}`;
  if (server !== undefined || source !== undefined) key = requestKey(key, server, source);
  const known = pools.get(key) as HttpPool | undefined;
  if (known !== undefined) return known;
  const dialOptions: DialOptions = {
    allowHalfOpen: false,
    ...(alpn === undefined ? {} : { alpn }),
    ...(server === undefined || server.sni === "" ? {} : { sni: server.sni }),
    ...(server === undefined ? {} : { verifyNames: server.verifyNames }),
    ...(source === undefined ? {} : { source }),
  };
  // Names and sources are the clients' to choose, and many, so such a pool is forgotten with its last connection.
  const onEmpty = server === undefined && source === undefined ? undefined : (): unknown => pools.delete(key);
  const pool = createPool({ host, cluster, dialOptions, clock, priority, onEmpty }, follows);
  pools.set(key, pool);
  return pool;
}

// No ALPN offer has this key.
const grpcKey = "grpc";

/** The pool of a host for gRPC calls of the proxy's own: HTTP/2 also where requests to the cluster are not. */
export function grpcPoolOf(host: Host, cluster: UpstreamCluster, clock: Clock): HttpPool {
  const { protocol } = cluster.model.http;
  if (protocol === "http2" || protocol === "downstream")
    return poolOf(host, cluster, "HTTP/2", undefined, "", undefined, undefined, clock, "default");
  const pools = (host.pools ??= new Map());
  const known = pools.get(grpcKey) as HttpPool | undefined;
  if (known !== undefined) return known;
  const dialOptions: DialOptions = { allowHalfOpen: false, alpnFallback: ["h2"] };
  const pool = new Http2Pool({ host, cluster, dialOptions, clock, priority: "default", onEmpty: undefined });
  pools.set(grpcKey, pool);
  return pool;
}

function createPool(settings: PoolSettings, follows: boolean): HttpPool {
  const { protocol } = settings.cluster.model.http;
  const offering = (...alpnFallback: readonly string[]): PoolSettings => ({
    ...settings,
    dialOptions: { ...settings.dialOptions, alpnFallback },
  });
  if (protocol === "http2" || follows) return new Http2Pool(offering("h2"));
  if (protocol === "auto") return new AutoPool(offering("h2", "http/1.1"));
  return new Http1Pool(settings);
}

function requestKey(alpnKey: string, server: RequestedServer | undefined, source: UpstreamSource | undefined): string {
  const from = source === undefined ? "" : ` from ${source.ip} ${source.port} ${source.mark}`;
  return `${alpnKey} ${server?.key ?? ""}${from}`;
}
