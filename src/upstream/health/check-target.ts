// A host and its cluster as checks see them: the address that is checked, connections of their own that neither count as
// the cluster's traffic nor take places of its circuit breakers.
import { isIP } from "node:net";
import type { Address, Metadata, SocketAddress } from "../../envoy/address.ts";
import type { Cluster } from "../../envoy/cluster/cluster.ts";
import type { HealthCheck } from "../../envoy/cluster/health-check.ts";
import type { Pending } from "../../identity/transport.ts";
import { unrecorded } from "../../telemetry/unrecorded.ts";
import { createClusterStats } from "../cluster-stats.ts";
import { CircuitBreakers } from "../circuit-breakers.ts";
import type { DialHandler, DialOptions, Host, HttpPoolHandle, UpstreamCluster } from "../cluster.ts";
import { type Dialer, type DialTarget, formatAddress, type HostCounts, type UpstreamHost } from "../host.ts";
import type { HostTransport } from "../transport-sockets.ts";

const noStats = createClusterStats(unrecorded);

/** The cluster of checks: as the one that is checked, but for how the check wants to speak. */
export function checkCluster(model: Cluster, settings: HealthCheck): UpstreamCluster {
  const { check, reuseConnection } = settings;
  const http2 = check.kind === "grpc" || (check.kind === "http" && check.http2);
  const http = {
    ...model.http,
    protocol: http2 ? ("http2" as const) : ("http1" as const),
    maxRequestsPerConnection: reuseConnection ? 0 : 1,
    // The next check may be further away than the cluster's idle time.
    idleTimeoutMs: 0,
    // Checks of gRPC read their result there.
    enableTrailers: true,
  };
  const own = new CircuitBreakers(model.circuitBreakers.default);
  return {
    name: model.name,
    model: { ...model, http },
    stats: noStats,
    resources: { default: own, high: own },
    pick: () => undefined,
    hosts: () => [],
  };
}

/** A host as it is checked. */
export class CheckTarget implements Host, DialTarget {
  readonly #host: UpstreamHost;
  readonly #settings: HealthCheck;
  readonly #dialer: Dialer;
  readonly transport: HostTransport;
  readonly counts: HostCounts = { cxTotal: 0, cxActive: 0, cxConnectFail: 0 };
  readonly weight = 1;
  readonly priority = 0;
  readonly healthy = true;
  readonly removed = false;
  readonly metadata: Metadata = {};
  activeRequests = 0;
  readonly activeConnections = 0;
  lastFailure: string | undefined = undefined;
  pools: Map<string, HttpPoolHandle> | undefined = undefined;

  constructor(host: UpstreamHost, settings: HealthCheck, dialer: Dialer, transport: HostTransport) {
    this.#host = host;
    this.#settings = settings;
    this.#dialer = dialer;
    this.transport = transport;
  }

  get address(): Address {
    const config = this.#host.healthCheckConfig;
    const address = config?.address ?? this.#host.address;
    // The endpoint's own address for checks has its own port.
    const port = config?.address === undefined ? config?.port || this.#settings.altPort : 0;
    return "pipe" in address || port === 0 ? address : { address: address.address, port };
  }
  get additionalAddresses(): readonly SocketAddress[] {
    const { address } = this;
    if ("pipe" in address || isIP(address.address) === 0 || this.#host.healthCheckConfig?.address !== undefined) return [];
    return this.#host.additionalAddresses.map((one) => ({ address: one.address, port: address.port }));
  }
  get addressText(): string {
    return formatAddress(this.address);
  }
  get hostname(): string {
    return this.#host.healthCheckConfig?.hostname ?? "";
  }
  get locality(): Host["locality"] {
    return this.#host.locality;
  }

  onResult(): void {}
  onImmediateHealthCheckFail(): void {}

  dial(options: DialOptions, handler: DialHandler): Pending {
    const { alpnProtocols } = this.#settings;
    return this.#dialer.dial(this, alpnProtocols.length === 0 ? options : { ...options, alpn: alpnProtocols }, handler);
  }

  /** No connection of before is used again. */
  dropConnections(): void {
    const pools = this.pools;
    this.pools = undefined;
    for (const pool of pools?.values() ?? []) pool.drain();
  }
}
