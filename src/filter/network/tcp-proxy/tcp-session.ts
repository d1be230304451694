// One proxied TCP connection: picks a host, dials (again, up to max_connect_attempts), hands both sockets to the relay, and
// writes one access-log record at the end.
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Timer } from "../../../clock.ts";
import type { ProxyError } from "../../../error.ts";
import type { Pending } from "../../../identity/transport.ts";
import type { Connection } from "../../../net/connection.ts";
import { resetSocket } from "../../../net/descriptor.ts";
import { startRelay } from "../../../net/relay/relay.ts";
import type { Relay, RelayResult } from "../../../net/relay/relay.ts";
import type { Hash64 } from "../../../match/xxhash64.ts";
import type { ConnectionSeries } from "../../../telemetry/istio/series.ts";
import { flag } from "../../../telemetry/response-flag.ts";
import { StreamInfo } from "../../../telemetry/stream-info.ts";
import type { ConnectionInfo, TlsPeer } from "../../../telemetry/stream-info.ts";
import type { DialHandler, Host, LbContext, UpstreamCluster } from "../../../upstream/cluster.ts";
import type { SniRefusal } from "../../sni-refusal.ts";
import type { TcpProxyShared } from "./tcp-proxy.ts";

/** A connection on its way through the TCP proxy. It is its own load-balancing context. */
export class TcpSession implements DialHandler, LbContext {
  readonly #connection: Connection;
  readonly #shared: TcpProxyShared;
  readonly #info: StreamInfo;
  #cluster: UpstreamCluster | undefined;
  #host: Host | undefined;
  #dialing: Pending | undefined;
  #relay: Relay | undefined;
  #durationTimer: Timer | undefined;
  /** Istio's counters, once the peer is known. */
  #istio: ConnectionSeries | undefined;
  #attempts = 0;
  #ended = false;
  /** An upstream connection carries it, or did. */
  #established = false;
  readonly headers = undefined;
  readonly hash: Hash64 | undefined;
  readonly avoid = undefined;
  readonly avoidAttempts = 0;
  readonly #onDownstreamGone = (): void => this.#finish(flag.DC, "");

  constructor(connection: Connection, shared: TcpProxyShared) {
    this.#connection = connection;
    this.#shared = shared;
    const { info } = connection;
    this.hash = shared.hashOf?.(info);
    // The record spans the connection, so it starts where the connection did.
    this.#info = connection.stream ?? new StreamInfo(info, info.startWallMs, info.startMs);
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
    const { socket, info, raw } = this.#connection;
    stats.downstreamCxTotal.inc();
    stats.downstreamCxActive.inc();
    if (info.denied !== "") {
      socket.end();
      this.#finish(info.deniedFlags, info.denied);
      return;
    }
    socket.on("close", this.#onDownstreamGone);
    const name = info.clusterOverride === "" ? this.#shared.pickCluster() : info.clusterOverride;
    const cluster = context.clusters.get(name);
    if (cluster === undefined) {
      stats.downstreamCxNoRoute.inc();
      return this.#refuse(flag.NC);
    }
    this.#cluster = cluster;
    this.#info.upstreamCluster = cluster.name;
    if (config.maxDownstreamConnectionDurationMs > 0) {
      this.#durationTimer = context.clock.after(config.maxDownstreamConnectionDurationMs, () => {
        stats.maxDownstreamConnectionDuration.inc();
        this.#finish(flag.DT, "max_connection_duration_reached");
      });
    }
    // A client that resets while upstream is dialled is only noticed by reading. Node reads no more than its own buffer takes.
    if (raw) socket.read(0);
    this.#connect(cluster);
  }

  /** Ends it now. */
  destroy(): void {
    this.#finish(0, "");
  }

  /** Brings the byte counters up to date while the connection goes on. */
  countBytes(): void {
    if (this.#relay) this.#note(this.#relay.bytesReceived, this.#relay.bytesSent);
  }

  #connect(cluster: UpstreamCluster): void {
    const { stats, resources } = cluster;
    if (resources.default.connections.full) {
      stats.upstreamCxOverflow.inc();
      return this.#refuse(flag.UO);
    }
    const host = cluster.pick(this);
    if (host === undefined) {
      stats.upstreamCxNoneHealthy.inc();
      return this.#refuse(flag.UH, this.#whyNoHost(cluster));
    }
    this.#attempts++;
    this.#host = host;
    host.activeRequests++;
    resources.default.connections.take();
    this.#info.upstreamHost = host.addressText;
    this.#info.upstreamMetadata = host.metadata;
    this.#info.attemptCount = this.#attempts;
    stats.upstreamRqPendingTotal.inc();
    stats.upstreamRqPendingActive.inc();
    this.#dialing = host.dial({ allowHalfOpen: true, source: this.downstream.upstreamSource }, this);
  }

  /** The attempt's places in the balancer and the circuit breaker are free again. */
  #letGo(): void {
    if (this.#host === undefined || this.#cluster === undefined) return;
    this.#host.activeRequests--;
    this.#cluster.resources.default.connections.give();
    this.#host = undefined;
  }

  onConnected(upstream: Socket | TLSSocket, peer: TlsPeer | undefined): void {
    this.#dialing = undefined;
    this.#cluster?.stats.upstreamRqPendingActive.dec();
    this.#host?.onResult("tcp_connected");
    if (this.#ended) {
      upstream.destroy();
      return;
    }
    const { config, context } = this.#shared;
    const { socket, raw, initialBytes } = this.#connection;
    this.#info.upstreamTls = peer;
    this.#info.upstreamLocalAddress = `${upstream.localAddress ?? ""}:${upstream.localPort ?? 0}`;
    this.#istio = context.istioMetrics?.connection(this.#info);
    this.#cluster?.stats.upstreamRqTotal.inc();
    this.#cluster?.stats.upstreamRqActive.inc();
    this.#established = true;
    // From here the relay watches both sockets.
    socket.off("close", this.#onDownstreamGone);
    this.#relay = startRelay(
      {
        downstream: { socket, raw },
        upstream: { socket: upstream, raw: peer === undefined },
        initialBytes,
        idleTimeoutMs: config.idleTimeoutMs,
        onEnd: (result) => this.#onRelayEnd(result),
      },
      { clock: context.clock, splice: context.splice },
    );
  }

  onFailed(error: ProxyError): void {
    this.#dialing = undefined;
    this.#cluster?.stats.upstreamRqPendingActive.dec();
    this.#cluster?.stats.upstreamRqPendingFailureEject.inc();
    this.#host?.onResult(error.code === "upstream_connect_timeout" ? "timeout" : "connect_failed");
    this.#letGo();
    if (this.#ended || this.#cluster === undefined) return;
    this.#info.upstreamTransportFailureReason = error.reason ?? "";
    if (this.#attempts < this.#shared.config.maxConnectAttempts) return this.#connect(this.#cluster);
    this.#cluster.stats.upstreamCxConnectAttemptsExceeded.inc();
    // Envoy counts the last attempt as the retries' end even when there was only one.
    this.#refuse(flag.UF | flag.URX);
  }

  #onRelayEnd(result: RelayResult): void {
    this.#note(result.bytesReceived, result.bytesSent);
    this.#relay = undefined;
    if (result.reason === "idle_timeout") this.#shared.stats.idleTimeout.inc();
    this.#finish(0, "");
  }

  #note(received: number, sent: number): void {
    const { stats } = this.#shared;
    const cluster = this.#cluster?.stats;
    const newReceived = received - this.#info.bytesReceived;
    const newSent = sent - this.#info.bytesSent;
    this.#info.bytesReceived = received;
    this.#info.bytesSent = sent;
    stats.downstreamCxRxBytesTotal.add(newReceived);
    stats.downstreamCxTxBytesTotal.add(newSent);
    cluster?.upstreamCxTxBytesTotal.add(newReceived);
    cluster?.upstreamCxRxBytesTotal.add(newSent);
    this.#istio?.receivedBytes.add(newReceived);
    this.#istio?.sentBytes.add(newSent);
  }

  // An east-west gateway's clusters hold only endpoints that do mTLS, so an empty one says that there is none.
  #whyNoHost(cluster: UpstreamCluster): SniRefusal | "" {
    const counters = this.#shared.context.sniRefusals;
    if (counters === undefined) return "";
    const hosts = cluster.hosts();
    const why = hosts.length === 0 ? "no_mtls_endpoints" : hosts.every((host) => !host.healthy) ? "all_unhealthy" : "";
    if (why !== "") counters[why].inc();
    return why;
  }

  /** Ends without an upstream. */
  #refuse(flags: number, details: SniRefusal | "" = ""): void {
    const { socket, initialBytes } = this.#connection;
    this.#close(flags, details);
    // One turn of the event loop later, when bytes that have come are known.
    setImmediate(closeRefused, socket, initialBytes);
  }

  #finish(flags: number, details: string): void {
    if (this.#ended) return;
    const relay = this.#relay;
    if (relay) this.#note(relay.bytesReceived, relay.bytesSent);
    this.#relay = undefined;
    this.#close(flags, details);
    if (relay) relay.cancel(false);
    else this.#connection.socket.destroy();
  }

  // Everything but the sockets.
  #close(flags: number, details: string): void {
    if (this.#ended) return;
    this.#ended = true;
    const { stats, context, accessLoggers, onClosed } = this.#shared;
    this.#durationTimer?.cancel();
    if (this.#dialing !== undefined) {
      this.#dialing.cancel();
      this.#cluster?.stats.upstreamRqPendingActive.dec();
    }
    if (this.#established) this.#cluster?.stats.upstreamRqActive.dec();
    this.#letGo();
    this.#connection.socket.off("close", this.#onDownstreamGone);
    const info = this.#info;
    info.flags |= flags;
    info.connectionTerminationDetails ||= details;
    info.endMs = context.clock.nowMs();
    stats.downstreamCxActive.dec();
    onClosed(this);
    (this.#istio ?? context.istioMetrics?.connection(info))?.closed.inc();
    for (const logger of accessLoggers) logger.log(info);
  }
}

// What a client sends with its connect is here within this time, also when both sides are busy.
const firstBytesMs = 20;

// As Envoy: RST when bytes of the client are dropped, FIN when it had sent none. A refusal can be faster than a client that
// speaks first; it would see the one or the other by chance if its bytes were not waited for.
function closeRefused(socket: Socket, initialBytes: Buffer | undefined): void {
  if (socket.destroyed) return;
  if (initialBytes !== undefined || socket.readableLength > 0) return resetSocket(socket);
  const decide = (): void => {
    clearTimeout(timer);
    socket.off("readable", decide).off("end", decide);
    if (socket.readableLength > 0) resetSocket(socket);
    else socket.destroy();
  };
  const timer = setTimeout(decide, firstBytesMs);
  socket
    .on("readable", decide)
    .on("end", decide)
    .once("close", () => clearTimeout(timer));
}
