// TLS as the rest of the data path sees it: contexts are compiled when configuration or secrets change, a handshake is one call.
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { ProxyError } from "../error.ts";
import type { TlsPeer } from "../telemetry/stream-info.ts";

/** Outcome of a handshake; exactly one is called, once. The socket of a failed handshake is already destroyed. */
export interface HandshakeHandler {
  onSecure(socket: TLSSocket, peer: TlsPeer, alpn: string): void;
  onFailed(error: ProxyError): void;
}

/** A cancellable operation; `cancel` after the outcome does nothing. */
export interface Pending {
  cancel(): void;
}

/** A compiled DownstreamTlsContext. Secrets that rotate are picked up by the next handshake. */
export interface ServerTransport {
  /** False while an SDS secret it needs is missing: the caller closes the connection and counts `ssl.*context_not_ready`. */
  readonly ready: boolean;
  /**
   * Terminates TLS on an accepted socket.
   * @param initialBytes what was read from `socket` before (the ClientHello)
   * @param timeoutMs 0 = none; expiry destroys the socket and fails with the reason `transport_socket_timeout`
   */
  handshake(socket: Socket, initialBytes: Buffer | undefined, timeoutMs: number, handler: HandshakeHandler): Pending;
}

/** Per-connection changes to what a client offers. */
export interface ClientHandshakeOptions {
  /** Replaces the context's ALPN list (Istio's ALPN filter). */
  readonly alpn?: readonly string[];
  /** Offered when neither the context nor `alpn` says anything. */
  readonly alpnFallback?: readonly string[];
  readonly sni?: string;
  /** DNS names, URIs or addresses of which the server's certificate must have one, beside what the context asks for. */
  readonly verifyNames?: readonly string[];
}

/** A compiled UpstreamTlsContext. */
export interface ClientTransport {
  readonly ready: boolean;
  /** Originates TLS over a connected socket and verifies the server. The caller keeps the deadline and cancels. */
  handshake(socket: Socket, options: ClientHandshakeOptions, handler: HandshakeHandler): Pending;
}
