// Opens connections to the hosts of one cluster: TCP or pipe, then TLS, within the connect timeout, with the cluster's
// socket options and stats. It keeps no connection; pools and relays own what they get.
import { connect, isIP, Socket } from "node:net";
import type { NetConnectOpts } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Clock, Timer } from "../clock.ts";
import type { Address, SocketAddress } from "../envoy/address.ts";
import type { Cluster } from "../envoy/cluster/cluster.ts";
import { ProxyError } from "../error.ts";
import type { HandshakeHandler, Pending } from "../identity/transport.ts";
import type { DescriptorGuard } from "../net/descriptor-guard.ts";
import { connectError, lacksDescriptor } from "../net/errno.ts";
import { openSourceSocket } from "../net/open-socket.ts";
import { endedByPeer } from "../net/socket-error.ts";
import { setKeepalive, type Keepalive } from "../net/tcp-keepalive.ts";
import type { TlsPeer, UpstreamSource } from "../telemetry/stream-info.ts";
import { raceAddresses } from "./address-race.ts";
import type { ClusterStats, DialHandler, DialOptions } from "./cluster.ts";
import type { Dialer, DialTarget } from "./host.ts";

/** What connections of a cluster have in common. */
export type DialProfile = Pick<Cluster, "connectTimeoutMs" | "sourceAddress" | "extraSourceAddresses" | "tcpKeepalive">;

/** The cluster's dialer. */
export class ClusterDialer implements Dialer {
  readonly #profile: DialProfile;
  readonly #clock: Clock;
  readonly #stats: () => ClusterStats;
  readonly #descriptors: DescriptorGuard | undefined;
  used = false;

  constructor(profile: DialProfile, clock: Clock, stats: () => ClusterStats, descriptors?: DescriptorGuard) {
    this.#descriptors = descriptors;
    this.#profile = profile;
    this.#clock = clock;
    this.#stats = stats;
  }

  dial(host: DialTarget, options: DialOptions, handler: DialHandler): Pending {
    this.used = true;
    return new Dial(host, this.#profile, options, handler, this.#clock, this.#stats(), this.#descriptors);
  }
}

class Dial implements Pending, HandshakeHandler {
  readonly #host: DialTarget;
  readonly #options: DialOptions;
  readonly #handler: DialHandler;
  readonly #clock: Clock;
  readonly #stats: ClusterStats;
  readonly #startMs: number;
  readonly #descriptors: DescriptorGuard | undefined;
  readonly #timer: Timer;
  /** Absent while several addresses are called. */
  #socket: Socket | undefined;
  #race: Pending | undefined;
  readonly #keepalive: Keepalive | undefined;
  /** What was handed over: the TCP socket, or the TLS socket on it. */
  #connected: Socket | undefined;
  #handshake: Pending | undefined;
  #state: "connecting" | "connected" | "failed" = "connecting";

  constructor(
    host: DialTarget,
    profile: DialProfile,
    options: DialOptions,
    handler: DialHandler,
    clock: Clock,
    stats: ClusterStats,
    descriptors: DescriptorGuard | undefined,
  ) {
    this.#descriptors = descriptors;
    this.#host = host;
    this.#options = options;
    this.#handler = handler;
    this.#clock = clock;
    this.#stats = stats;
    this.#startMs = clock.nowMs();
    stats.upstreamCxTotal.inc();
    stats.upstreamCxActive.inc();
    host.counts.cxTotal++;
    host.counts.cxActive++;
    this.#keepalive = profile.tcpKeepalive;
    this.#timer = clock.after(profile.connectTimeoutMs, () => this.#onTimeout());
    const { address, additionalAddresses } = host;
    // From a given source only the addresses of its family can be reached, and connectFrom takes the first.
    if ("pipe" in address || additionalAddresses.length === 0 || options.source !== undefined) {
      this.#own(this.#open(profile)).once("connect", () => this.#onConnect());
      return;
    }
    const open = (one: SocketAddress): Socket => connect(connectOptions(one, profile, options.allowHalfOpen));
    this.#race = raceAddresses([address, ...additionalAddresses], open, clock, {
      onConnect: (socket) => {
        this.#own(socket);
        this.#onConnect();
      },
      onFailed: (error) => this.#fail(connectError(error)),
    });
  }

  #own(socket: Socket): Socket {
    this.#socket = socket;
    socket.on("error", (error) => this.#onError(error));
    socket.once("close", () => this.#onClose());
    return socket;
  }

  cancel(): void {
    if (this.#state === "connecting") this.#giveUp();
  }

  // What Node refuses to try (an address that is none, no descriptors left) fails like what the network refuses: later.
  #open(profile: DialProfile): Socket {
    try {
      const { source } = this.#options;
      if (source !== undefined && reachableFrom(source, this.#host.address))
        return connectFrom(source, this.#host, this.#options.allowHalfOpen);
      return connect(connectOptions(this.#host.address, profile, this.#options.allowHalfOpen));
    } catch (thrown) {
      process.nextTick(() => this.#fail(connectError(thrown)));
      return new Socket();
    }
  }

  #onConnect(): void {
    const socket = this.#socket;
    if (this.#state !== "connecting" || socket === undefined) return;
    if (this.#keepalive !== undefined && !("pipe" in this.#host.address)) setKeepalive(socket, this.#keepalive);
    const { tls } = this.#host.transport;
    if (tls === undefined) return this.#succeed(socket, undefined, "");
    this.#handshake = tls.handshake(socket, this.#options, this);
  }

  onSecure(socket: TLSSocket, peer: TlsPeer, alpn: string): void {
    if (this.#state === "connecting") this.#succeed(socket, peer, alpn);
    else socket.destroy();
  }

  onFailed(error: ProxyError): void {
    this.#fail(error);
  }

  #succeed(socket: Socket | TLSSocket, peer: TlsPeer | undefined, alpn: string): void {
    this.#state = "connected";
    this.#connected = socket;
    this.#host.lastFailure = undefined;
    this.#timer.cancel();
    this.#stats.upstreamCxConnectMs.record(this.#clock.nowMs() - this.#startMs);
    this.#handler.onConnected(socket, peer, alpn);
  }

  // Stays attached for the socket's life, because every socket needs a listener; after the dial its owner reports errors.
  #onError(error: Error): void {
    // While TLS shakes hands the transport hears of it too, and has the better words.
    if (this.#handshake === undefined) this.#fail(connectError(error));
  }

  #onTimeout(): void {
    if (this.#state !== "connecting") return;
    this.#stats.upstreamCxConnectTimeout.inc();
    this.#fail(new ProxyError("upstream_connect_timeout", { side: "upstream", retryable: true }));
  }

  #fail(error: ProxyError): void {
    if (this.#state !== "connecting") return;
    this.#stats.upstreamCxConnectFail.inc();
    this.#host.counts.cxConnectFail++;
    if (lacksDescriptor(error.cause)) this.#descriptors?.failed();
    this.#host.lastFailure = error.reason;
    this.#giveUp();
    this.#handler.onFailed(error);
  }

  #giveUp(): void {
    this.#state = "failed";
    this.#count();
    this.#timer.cancel();
    this.#handshake?.cancel();
    this.#race?.cancel();
    this.#socket?.destroy();
  }

  // A TLS socket closes the TCP socket below it, so this one event ends every connection that was handed over.
  #onClose(): void {
    if (this.#state === "connecting") this.#fail(new ProxyError("upstream_closed", { side: "upstream", retryable: true }));
    else if (this.#state === "connected") this.#count();
  }

  #count(): void {
    this.#host.counts.cxActive--;
    this.#stats.upstreamCxActive.dec();
    this.#stats.upstreamCxDestroy.inc();
    const socket = this.#connected ?? this.#socket;
    if (socket !== undefined && endedByPeer(socket)) this.#stats.upstreamCxDestroyRemote.inc();
    else this.#stats.upstreamCxDestroyLocal.inc();
  }
}

function connectOptions(address: Address, profile: DialProfile, allowHalfOpen: boolean): NetConnectOpts {
  // A leading @ is Envoy's (and ss's) way to write Linux' abstract namespace.
  if ("pipe" in address) return { path: address.pipe.startsWith("@") ? `\0${address.pipe.slice(1)}` : address.pipe, allowHalfOpen };
  if (isIP(address.address) === 0) throw new Error(`${address.address} is not an IP address`);
  const { sourceAddress, extraSourceAddresses } = profile;
  const sources = sourceAddress === undefined ? [] : [sourceAddress, ...extraSourceAddresses];
  // An address of the other family cannot be bound; Istio lists an IPv6 source beside 127.0.0.6 as an extra for that case.
  const bind = sources.find((source) => isIP(source.address) === isIP(address.address));
  return {
    host: address.address,
    port: address.port,
    allowHalfOpen,
    noDelay: true,
    autoSelectFamily: false,
    ...(bind === undefined ? {} : { localAddress: bind.address, ...(bind.port === 0 ? {} : { localPort: bind.port }) }),
  };
}

// The kernel sends no answer from loopback to an address elsewhere, so what listens there sees loopback, as it does without a source.
function reachableFrom(source: UpstreamSource, address: Address): boolean {
  return !("pipe" in address) && (!isLoopback(address.address) || isLoopback(source.ip));
}

const isLoopback = (ip: string): boolean => ip === "::1" || ip.startsWith("127.");

// The options that a source takes come before bind, so the socket is made first and then connected by Node.
function connectFrom(source: UpstreamSource, host: DialTarget, allowHalfOpen: boolean): Socket {
  const first = host.address as SocketAddress;
  const family = isIP(source.ip);
  // Beside the source no address of the other family can be reached.
  const address = [first, ...host.additionalAddresses].find((candidate) => isIP(candidate.address) === family);
  if (address === undefined)
    throw Object.assign(new Error(`${first.address} cannot be reached from ${source.ip}`), { code: "EAFNOSUPPORT" });
  const opened = openSourceSocket(source);
  if (!opened.ok) throw opened.error;
  // Without manualStart Node would read from the descriptor before it is connected.
  const made = { fd: opened.fd, manualStart: true, allowHalfOpen, noDelay: true, autoSelectFamily: false };
  return connect({ ...made, host: address.address, port: address.port } as NetConnectOpts);
}
