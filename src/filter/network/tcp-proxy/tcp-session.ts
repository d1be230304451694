// One proxied TCP connection: picks a host, dials (again, up to max_connect_attempts), hands both sockets to the relay, and
// writes one access-log record at the end. Nothing is read from downstream before upstream is connected, so a
// client that leaves meanwhile is noticed when the connect ends, which connect_timeout bounds.
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { ProxyError } from "../../../error.ts";
import type { Timer } from "../../../clock.ts";
import type { Pending } from "../../../identity/transport.ts";
import type { Connection } from "../../../net/connection.ts";
import { startRelay, type Relay, type RelayResult } from "../../../net/relay/relay.ts";
import { flag } from "../../../telemetry/response-flag.ts";
import { StreamInfo, type ConnectionInfo, type TlsPeer } from "../../../telemetry/stream-info.ts";
import type { DialHandler, Host, LbContext, UpstreamCluster } from "../../../upstream/cluster.ts";
import type { TcpProxyShared } from "./tcp-proxy.ts";

/** A connection on its way through the TCP proxy. */
export class TcpSession implements DialHandler, LbContext {
  readonly #connection: Connection;
  readonly #shared: TcpProxyShared;
  readonly #info: StreamInfo;
  #cluster: UpstreamCluster | undefined;
  #host: Host | undefined;
  #dialing: Pending | undefined;
  #relay: Relay | undefined;
  #durationTimer: Timer | undefined;
  #upstream: Socket | TLSSocket | undefined;
  #attempts = 0;
  #ended = false;
  readonly headers = undefined;
  readonly hash = undefined;
  readonly avoid = undefined;
  readonly avoidAttempts = 0;
  readonly #onDownstreamGone = (): void => this.#finish(flag.DC, "downstream_remote_disconnect");

  constructor(connection: Connection, shared: TcpProxyShared) {
    this.#connection = connection;
    this.#shared = shared;
    const { clock } = shared.context;
    // The record spans the connection, so it starts where the connection did.
    this.#info = new StreamInfo(connection.info, connection.info.startWallMs, connection.info.startMs);
    this.#info.lastDownstreamRxMs = clock.nowMs();
  }

  get downstream(): ConnectionInfo {
    return this.#connection.info;
  }

  get metadataMatch(): Readonly<Record<string, unknown>> {
    return this.#shared.config.metadataMatch;
  }

  /** Begins; may end the session before it returns. */
  start(): void {
    const { stats, config, context } = this.#shared;
    const { socket, info } = this.#connection;
    stats.downstreamCxTotal.inc();
    stats.downstreamCxActive.inc();
    socket.on("close", this.#onDownstreamGone);
    const name = info.clusterOverride === "" ? this.#shared.pickCluster() : info.clusterOverride;
    const cluster = context.clusters.get(name);
    if (cluster === undefined) {
      stats.downstreamCxNoRoute.inc();
      this.#refuse(flag.NC, "cluster_not_found");
      return;
    }
    this.#cluster = cluster;
    this.#info.upstreamCluster = cluster.name;
    if (config.maxDownstreamConnectionDurationMs > 0) {
      this.#durationTimer = context.clock.after(config.maxDownstreamConnectionDurationMs, () => {
        stats.maxDownstreamConnectionDuration.inc();
        this.#finish(flag.DT, "max_connection_duration_reached");
      });
    }
    this.#connect(cluster);
  }

  /** Ends it now. */
  destroy(): void {
    this.#finish(0, "");
  }

  #connect(cluster: UpstreamCluster): void {
    const { stats, resources, model } = cluster;
    if (resources.default.connections >= model.circuitBreakers.default.maxConnections) {
      stats.upstreamCxOverflow.inc();
      this.#refuse(flag.UO, "");
      return;
    }
    const host = cluster.pick(this);
    if (host === undefined) {
      stats.upstreamCxNoneHealthy.inc();
      this.#refuse(flag.UH, "");
      return;
    }
    this.#attempts++;
    this.#host = host;
    host.activeRequests++;
    resources.default.connections++;
    this.#info.upstreamHost = host.addressText;
    this.#info.attemptCount = this.#attempts;
    this.#dialing = host.dial({ allowHalfOpen: true }, this);
  }

  /** The attempt's places in the balancer and the circuit breaker are free again. */
  #letGo(): void {
    if (this.#host === undefined) return;
    this.#host.activeRequests--;
    this.#cluster!.resources.default.connections--;
    this.#host = undefined;
  }

  onConnected(socket: Socket | TLSSocket, peer: TlsPeer | undefined): void {
    this.#dialing = undefined;
    if (this.#ended) {
      socket.destroy();
      return;
    }
    this.#upstream = socket;
    const info = this.#info;
    info.upstreamTls = peer;
    info.upstreamLocalAddress = `${socket.localAddress ?? ""}:${socket.localPort ?? 0}`;
    const { config, context } = this.#shared;
    const { socket: downstream, raw, initialBytes } = this.#connection;
    downstream.off("close", this.#onDownstreamGone);
    this.#relay = startRelay(
      {
        downstream: { socket: downstream, raw },
        upstream: { socket, raw: peer === undefined },
        initialBytes,
        idleTimeoutMs: config.idleTimeoutMs,
        onEnd: (result) => this.#onRelayEnd(result),
      },
      { clock: context.clock, splice: context.splice },
    );
  }

  onFailed(error: ProxyError): void {
    this.#dialing = undefined;
    this.#letGo();
    if (this.#ended) return;
    this.#info.upstreamTransportFailureReason = error.reason ?? "";
    if (this.#attempts < this.#shared.config.maxConnectAttempts) {
      this.#connect(this.#cluster!);
      return;
    }
    // Envoy counts the last attempt as the retries' end even when there was only one.
    this.#refuse(flag.UF | flag.URX, "");
  }

  #onRelayEnd(result: RelayResult): void {
    const { stats } = this.#shared;
    this.#relay = undefined;
    if (!this.#ended) this.#note(result.bytesReceived, result.bytesSent);
    const upstream = this.#cluster!.stats;
    upstream.upstreamCxDestroy.inc();
    upstream.upstreamCxActive.dec();
    upstream.upstreamCxTxBytesTotal.add(result.bytesReceived);
    upstream.upstreamCxRxBytesTotal.add(result.bytesSent);
    if (result.reason === "idle_timeout") stats.idleTimeout.inc();
    if (result.reason === "upstream_reset") upstream.upstreamCxDestroyRemote.inc();
    else if (result.reason === "idle_timeout" || result.reason === "cancelled") upstream.upstreamCxDestroyLocal.inc();
    this.#finish(0, "");
  }

  #note(received: number, sent: number): void {
    this.#info.bytesReceived = received;
    this.#info.bytesSent = sent;
    this.#shared.stats.downstreamCxRxBytesTotal.add(received);
    this.#shared.stats.downstreamCxTxBytesTotal.add(sent);
  }

  /** Closes without an upstream. As Envoy: RST when the client's bytes are dropped, FIN when it had sent none. */
  #refuse(flags: number, details: string): void {
    const { socket, raw, initialBytes } = this.#connection;
    socket.off("close", this.#onDownstreamGone);
    if (initialBytes !== undefined && raw) socket.resetAndDestroy();
    // With nothing consumed the kernel itself chooses: RST when bytes are unread.
    else socket.destroy();
    this.#finish(flags, details);
  }

  #finish(flags: number, details: string): void {
    if (this.#ended) return;
    this.#ended = true;
    const { stats, context, accessLoggers, onClosed } = this.#shared;
    this.#durationTimer?.cancel();
    this.#dialing?.cancel();
    this.#letGo();
    this.#connection.socket.off("close", this.#onDownstreamGone);
    if (this.#relay !== undefined) {
      this.#note(this.#relay.bytesReceived, this.#relay.bytesSent);
      this.#relay.cancel(false);
    } else {
      this.#connection.socket.destroy();
      this.#upstream?.destroy();
    }
    const info = this.#info;
    info.flags |= flags;
    info.connectionTerminationDetails ||= flags === flag.DC ? "" : details;
    info.endMs = context.clock.nowMs();
    stats.downstreamCxActive.dec();
    onClosed(this);
    for (const logger of accessLoggers) logger.log(info);
  }
}
