// The keep-alive connections of one host (and one ALPN offer): hands a free one out, dials when there is none, queues what
// waits, within the cluster's circuit breakers.
import type { Clock } from "../../clock.ts";
import { ProxyError } from "../../error.ts";
import { LazyDeadline } from "../../net/deadline.ts";
import type { UpstreamSource } from "../../telemetry/stream-info.ts";
import type { HeadLimits } from "../../wire/http1-head.ts";
import type { DialOptions, Host, HttpPoolHandle, ResourceCounts, UpstreamCluster } from "../cluster.ts";
import { Http1Client, type ClientOwner } from "./http1-client.ts";

/** A request that waits for a connection. */
export interface PoolWaiter {
  onPoolReady(client: Http1Client): void;
  onPoolFailure(error: ProxyError): void;
}

/** The connection pool of one host. */
export class Http1Pool implements HttpPoolHandle, ClientOwner {
  readonly #host: Host;
  readonly #cluster: UpstreamCluster;
  readonly #dialOptions: DialOptions;
  readonly #clock: Clock;
  readonly #limits: HeadLimits;
  readonly #counts: ResourceCounts;
  readonly #createDeadline: (fire: () => void) => LazyDeadline;
  /** Last in, first out: the warm end is reused and the cold end times out. */
  readonly #idle: Http1Client[] = [];
  readonly #waiting: PoolWaiter[] = [];
  readonly #clients = new Set<Http1Client>();
  #connecting = 0;
  readonly #onEmpty: (() => void) | undefined;
  #draining = false;

  /** @param onEmpty nothing is open and nobody waits: called for a pool that is not to be kept then */
  constructor(host: Host, cluster: UpstreamCluster, dialOptions: DialOptions, clock: Clock, onEmpty?: () => void) {
    this.#onEmpty = onEmpty;
    this.#host = host;
    this.#cluster = cluster;
    this.#dialOptions = dialOptions;
    this.#clock = clock;
    this.#counts = cluster.resources.default;
    const { maxResponseHeadersKb, maxHeadersCount } = cluster.model.http;
    this.#limits = { maxBytes: maxResponseHeadersKb * 1024, maxHeaders: maxHeadersCount, underscores: "ALLOW" };
    this.#createDeadline = (fire) => new LazyDeadline(clock, fire);
  }

  /** Connections that are connecting, busy or idle. */
  get size(): number {
    return this.#clients.size + this.#connecting;
  }

  /**
   * A connection now, or undefined: `waiter` hears later (unless `cancel`led) or has already heard of an overflow.
   * Count `max_requests` before calling.
   */
  acquire(waiter: PoolWaiter): Http1Client | undefined {
    for (let client = this.#idle.pop(); client !== undefined; client = this.#idle.pop()) {
      client.idleDeadline.clear();
      if (client.usable) return client;
      client.close();
    }
    const limits = this.#cluster.model.circuitBreakers.default;
    const { stats } = this.#cluster;
    if (this.#counts.pendingRequests >= limits.maxPendingRequests) {
      stats.upstreamRqPendingOverflow.inc();
      waiter.onPoolFailure(new ProxyError("upstream_overflow", { side: "upstream" }));
      this.#mayBeEmpty();
      return undefined;
    }
    this.#waiting.push(waiter);
    this.#counts.pendingRequests++;
    stats.upstreamRqPendingTotal.inc();
    stats.upstreamRqPendingActive.inc();
    if (this.#connecting < this.#waiting.length) {
      // A host without any connection may always have one, or its requests could never be served.
      if (this.#counts.connections < limits.maxConnections || this.size === 0) this.#dial();
      else stats.upstreamCxOverflow.inc();
    }
    return undefined;
  }

  /** Takes a waiter out of the queue. */
  cancel(waiter: PoolWaiter): void {
    const at = this.#waiting.indexOf(waiter);
    if (at < 0) return;
    this.#waiting.splice(at, 1);
    this.#leftQueue();
    this.#cluster.stats.upstreamRqCancelled.inc();
  }

  drain(): void {
    this.#draining = true;
    for (const client of this.#clients) client.retire();
  }

  onIdle(client: Http1Client): void {
    const { maxRequestsPerConnection, idleTimeoutMs } = this.#cluster.model.http;
    if (maxRequestsPerConnection > 0 && client.requests >= maxRequestsPerConnection) {
      this.#cluster.stats.upstreamCxMaxRequests.inc();
      client.close();
      return;
    }
    const waiter = this.#waiting.shift();
    if (waiter !== undefined) {
      this.#leftQueue();
      waiter.onPoolReady(client);
      return;
    }
    if (this.#draining || this.#host.removed) {
      client.close();
      return;
    }
    if (idleTimeoutMs > 0) client.idleDeadline.set(idleTimeoutMs);
    this.#idle.push(client);
  }

  onClosed(client: Http1Client): void {
    this.#clients.delete(client);
    this.#counts.connections--;
    const at = this.#idle.indexOf(client);
    if (at >= 0) this.#idle.splice(at, 1);
    // Whoever waits for a connection under max_connections gets the place that became free.
    if (this.#waiting.length > this.#connecting) this.#dial();
    this.#mayBeEmpty();
  }

  #mayBeEmpty(): void {
    if (this.#onEmpty !== undefined && this.size === 0 && this.#waiting.length === 0) this.#onEmpty();
  }

  #leftQueue(): void {
    this.#counts.pendingRequests--;
    this.#cluster.stats.upstreamRqPendingActive.dec();
  }

  #dial(): void {
    this.#connecting++;
    this.#counts.connections++;
    const { stats } = this.#cluster;
    this.#host.dial(this.#dialOptions, {
      onConnected: (socket, peer) => {
        this.#connecting--;
        stats.upstreamCxHttp1Total.inc();
        const client = new Http1Client(socket, this.#host, this.#cluster, peer, this, this.#limits, this.#createDeadline);
        this.#clients.add(client);
        this.#armDuration(client);
        this.onIdle(client);
      },
      onFailed: (error) => {
        this.#connecting--;
        this.#counts.connections--;
        // As in Envoy: what waited for this host hears of the failure; its retry policy decides.
        const failed = this.#waiting.splice(0, Math.max(this.#waiting.length - this.#connecting, 0));
        for (const waiter of failed) {
          this.#leftQueue();
          stats.upstreamRqPendingFailureEject.inc();
          waiter.onPoolFailure(error);
        }
        this.#mayBeEmpty();
      },
    });
  }

  #armDuration(client: Http1Client): void {
    const { maxConnectionDurationMs } = this.#cluster.model.http;
    if (maxConnectionDurationMs <= 0) return;
    const timer = this.#clock.after(maxConnectionDurationMs, () => client.retire());
    client.socket.once("close", () => timer.cancel());
  }
}

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
 * The pool of a host for one ALPN offer, one name of the server and one source address, made on first use.
 * @param server undefined = the cluster's own name
 * @param source undefined = this machine's own address
 */
export function poolOf(
  host: Host,
  cluster: UpstreamCluster,
  alpn: readonly string[] | undefined,
  alpnKey: string,
  server: RequestedServer | undefined,
  source: UpstreamSource | undefined,
  clock: Clock,
): Http1Pool {
  const pools = (host.pools ??= new Map());
  const key = server === undefined && source === undefined ? alpnKey : requestKey(alpnKey, server, source);
  const known = pools.get(key) as Http1Pool | undefined;
  if (known !== undefined) return known;
  const options: DialOptions = {
    allowHalfOpen: false,
    ...(alpn === undefined ? {} : { alpn }),
    ...(server === undefined || server.sni === "" ? {} : { sni: server.sni }),
    ...(server === undefined ? {} : { verifyNames: server.verifyNames }),
    ...(source === undefined ? {} : { source }),
  };
  // Names and sources are the clients' to choose, and many, so such a pool is forgotten with its last connection.
  const onEmpty = server === undefined && source === undefined ? undefined : (): unknown => pools.delete(key);
  const pool = new Http1Pool(host, cluster, options, clock, onEmpty);
  pools.set(key, pool);
  return pool;
}

function requestKey(alpnKey: string, server: RequestedServer | undefined, source: UpstreamSource | undefined): string {
  const from = source === undefined ? "" : ` from ${source.ip} ${source.port} ${source.mark}`;
  return `${alpnKey} ${server?.key ?? ""}${from}`;
}
