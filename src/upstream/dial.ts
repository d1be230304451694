// Opens connections to the hosts of one cluster: TCP or pipe, then TLS, within the connect timeout, with the cluster's
// socket options and stats. It keeps no connection; pools and relays own what they get.
import { connect, isIP, Socket } from "node:net";
import type { NetConnectOpts, TcpNetConnectOpts } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Clock, Timer } from "../clock.ts";
import type { Address, SocketAddress } from "../envoy/address.ts";
import type { Cluster } from "../envoy/cluster/cluster.ts";
import { ProxyError } from "../error.ts";
import type { HandshakeHandler, Pending } from "../identity/transport.ts";
import type { DescriptorGuard } from "../net/descriptor-guard.ts";
import { connectError, lacksDescriptor } from "../net/errno.ts";
import { openSourceSocket } from "../net/open-socket.ts";
import type { TlsPeer, UpstreamSource } from "../telemetry/stream-info.ts";
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
  readonly #socket: Socket;
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
    this.#socket = this.#open(profile);
    this.#socket.on("error", (error) => this.#onError(error));
    this.#socket.once("connect", () => this.#onConnect());
    this.#socket.once("close", () => this.#onClose());
    this.#timer = clock.after(profile.connectTimeoutMs, () => this.#onTimeout());
  }

  cancel(): void {
    if (this.#state === "connecting") this.#giveUp();
  }

  // What Node refuses to try (an address that is none, no descriptors left) fails like what the network refuses: later.
  #open(profile: DialProfile): Socket {
    try {
      const { source } = this.#options;
      if (source !== undefined && reachableFrom(source, this.#host.address))
        return connectFrom(source, this.#host, profile, this.#options.allowHalfOpen);
      return connect(connectOptions(this.#host, profile, this.#options.allowHalfOpen));
    } catch (thrown) {
      process.nextTick(() => this.#fail(connectError(thrown)));
      return new Socket();
    }
  }

  #onConnect(): void {
    if (this.#state !== "connecting") return;
    const { tls } = this.#host.transport;
    if (tls === undefined) return this.#succeed(this.#socket, undefined, "");
    this.#handshake = tls.handshake(this.#socket, this.#options, this);
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
    this.#socket.destroy();
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
    if (endedByPeer(this.#connected ?? this.#socket)) this.#stats.upstreamCxDestroyRemote.inc();
    else this.#stats.upstreamCxDestroyLocal.inc();
  }
}

// True when the peer's FIN was read or the system reported an error, before this side closed.
function endedByPeer(socket: Socket): boolean {
  return socket.readableEnded || (socket.errored as NodeJS.ErrnoException | null)?.syscall !== undefined;
}

function connectOptions(host: DialTarget, profile: DialProfile, allowHalfOpen: boolean): NetConnectOpts {
  const { address } = host;
  // A leading @ is Envoy's (and ss's) way to write Linux' abstract namespace.
  if ("pipe" in address) return { path: address.pipe.startsWith("@") ? `\0${address.pipe.slice(1)}` : address.pipe, allowHalfOpen };
  if (isIP(address.address) === 0) throw new Error(`${address.address} is not an IP address`);
  const { sourceAddress, extraSourceAddresses, tcpKeepalive } = profile;
  const sources = sourceAddress === undefined ? [] : [sourceAddress, ...extraSourceAddresses];
  // An address of the other family cannot be bound; Istio lists an IPv6 source beside 127.0.0.6 as an extra for that case.
  const bind = sources.find((source) => isIP(source.address) === isIP(address.address));
  return {
    host: address.address,
    port: address.port,
    allowHalfOpen,
    noDelay: true,
    // A source address belongs to one family, so with one there is nothing to choose from.
    ...(bind === undefined ? attempts(address, host.additionalAddresses) : { autoSelectFamily: false }),
    ...(bind === undefined ? {} : { localAddress: bind.address, ...(bind.port === 0 ? {} : { localPort: bind.port }) }),
    // Node sets the idle time only; interval and probe count stay the system's.
    ...(tcpKeepalive === undefined ? {} : { keepAlive: true, keepAliveInitialDelay: tcpKeepalive.timeMs }),
  };
}

// The kernel sends no answer from loopback to an address elsewhere, so what listens there sees loopback, as it does without a source.
function reachableFrom(source: UpstreamSource, address: Address): boolean {
  return !("pipe" in address) && (!isLoopback(address.address) || isLoopback(source.ip));
}

const isLoopback = (ip: string): boolean => ip === "::1" || ip.startsWith("127.");

// The options that a source takes come before bind, so the socket is made first and then connected by Node.
function connectFrom(source: UpstreamSource, host: DialTarget, profile: DialProfile, allowHalfOpen: boolean): Socket {
  const first = host.address as SocketAddress;
  const family = isIP(source.ip);
  // Beside the source no address of the other family can be reached.
  const address = [first, ...host.additionalAddresses].find((candidate) => isIP(candidate.address) === family);
  if (address === undefined)
    throw Object.assign(new Error(`${first.address} cannot be reached from ${source.ip}`), { code: "EAFNOSUPPORT" });
  const opened = openSourceSocket(source);
  if (!opened.ok) throw opened.error;
  const { tcpKeepalive } = profile;
  // Without manualStart Node would read from the descriptor before it is connected.
  const made = { fd: opened.fd, manualStart: true, allowHalfOpen, noDelay: true, autoSelectFamily: false };
  const keepAlive = tcpKeepalive === undefined ? {} : { keepAlive: true, keepAliveInitialDelay: tcpKeepalive.timeMs };
  return connect({ ...made, ...keepAlive, host: address.address, port: address.port } as NetConnectOpts);
}

// Envoy's happy eyeballs wait as long before the next address.
const attemptTimeoutMs = 300;

/** How several addresses of one host are tried: by Node, in turn, which wants them as the answer to a lookup. */
function attempts(first: SocketAddress, more: readonly SocketAddress[]): Partial<TcpNetConnectOpts> {
  if (more.length === 0) return { autoSelectFamily: false };
  const all = [first, ...more].map(({ address }) => ({ address, family: isIP(address) }));
  return {
    host: "endpoint",
    lookup: (_name, _options, answer) => answer(null, all),
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: attemptTimeoutMs,
  };
}
