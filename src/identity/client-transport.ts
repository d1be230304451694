// Originates TLS: an UpstreamTlsContext compiled to one call per connection. Chain, SANs and pins of the server are judged
// before the socket is handed over; the caller keeps the deadline.
import type { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { Socket } from "node:net";
import { connect } from "node:tls";
import type { SecureContext, TLSSocket } from "node:tls";
import type { Clock } from "../clock.ts";
import type { UpstreamTlsContext } from "../envoy/tls/tls.ts";
import { ProxyError } from "../error.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { StatsScope } from "../telemetry/stats.ts";
import { usableProtocols } from "./alpn.ts";
import { hinted, secretMissingReason, tellReason, tlsErrorReason, verifyFailureReason } from "./failure-reason.ts";
import { createRootHints, RefusalLog } from "./foreign-root.ts";
import type { RootHints } from "./foreign-root.ts";
import { RefusalAlert } from "./handshake-alert.ts";
import { MaterialSource } from "./context/material.ts";
import type { Material } from "./context/material.ts";
import { KnownCertificates } from "./known-certificate.ts";
import { describePeer } from "./peer.ts";
import { SecureContextCache } from "./secure-context.ts";
import type { SecretLookup } from "./secret-store.ts";
import { SessionCache } from "./context/session-cache.ts";
import type { ResumableSession } from "./context/session-cache.ts";
import { TlsStats } from "./tls-stats.ts";
import type { ClientHandshakeOptions, ClientTransport, HandshakeHandler, Pending } from "./transport.ts";
import { createVerifier } from "./verifier.ts";
import type { Verifier } from "./verifier.ts";
import { leafNames } from "./x509/certificate-names.ts";
import type { CertificateNames } from "./x509/certificate-names.ts";

/** What client transports share and are given. */
export interface ClientTransportDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Shared by all transports of a worker; default one of its own. */
  readonly contexts?: SecureContextCache;
  /** Scope of the cluster's `ssl.*` stats, without the `ssl`. */
  readonly stats?: StatsScope;
}

interface Compiled {
  readonly material: Material;
  readonly context: SecureContext;
  readonly verify: Verifier;
  readonly sessions: SessionCache;
  readonly local: CertificateNames;
  readonly hints: RootHints;
  readonly refusals: RefusalLog;
  readonly known: KnownCertificates;
}

/** Compiles an UpstreamTlsContext. Nothing is built before the first handshake. */
export function createClientTransport(tls: UpstreamTlsContext, secrets: SecretLookup, deps: ClientTransportDeps): ClientTransport {
  return new NodeClientTransport(tls, secrets, deps);
}

class NodeClientTransport implements ClientTransport {
  readonly #tls: UpstreamTlsContext;
  readonly #deps: ClientTransportDeps;
  readonly #source: MaterialSource;
  readonly #contexts: SecureContextCache;
  readonly #stats: TlsStats;
  readonly #alpn: readonly string[];
  #compiled: Compiled | undefined;

  constructor(tls: UpstreamTlsContext, secrets: SecretLookup, deps: ClientTransportDeps) {
    this.#tls = tls;
    this.#deps = deps;
    this.#source = new MaterialSource(tls.common, secrets);
    this.#contexts = deps.contexts ?? new SecureContextCache();
    this.#stats = new TlsStats(deps.stats?.scope("ssl"));
    this.#alpn = usableProtocols(tls.common.alpnProtocols);
  }

  get ready(): boolean {
    return this.#source.get() !== undefined;
  }

  handshake(socket: Socket, options: ClientHandshakeOptions, handler: HandshakeHandler): Pending {
    let compiled: Compiled | undefined;
    try {
      compiled = this.#compile();
    } catch (thrown) {
      // Key material that OpenSSL refuses: said once per version in the log, and to every connection.
      return failLater(socket, handler, tlsFailed(`TLS error: ${thrown instanceof Error ? thrown.message : String(thrown)}`, thrown));
    }
    if (compiled === undefined) return failLater(socket, handler, tlsFailed(secretMissingReason));
    const sni = options.sni ?? this.#tls.sni;
    let alpn = options.alpn === undefined ? this.#alpn : usableProtocols(options.alpn);
    if (alpn.length === 0 && options.alpnFallback !== undefined) alpn = options.alpnFallback;
    const offer = { sni: isIP(sni) === 0 ? sni : "", alpn, verifyNames: options.verifyNames ?? [] };
    return new ClientHandshake(socket, compiled, offer, handler, this.#stats, this.#deps.clock);
  }

  #compile(): Compiled | undefined {
    const material = this.#source.get();
    if (material === undefined || this.#compiled?.material === material) return material && this.#compiled;
    const warn = (message: string): void => this.#deps.logger.warn(message, { sni: this.#tls.sni });
    this.#compiled = {
      material,
      context: this.#contexts.get(this.#tls.common, material, this.#tls.allowRenegotiation, warn),
      verify: createVerifier(material.validation, warn),
      // A new version starts without sessions: what an old one vouched for is not carried over.
      sessions: new SessionCache(this.#tls.maxSessionKeys),
      local: leafNames(material.certificates[0]?.certificateChain),
      hints: createRootHints(this.#tls.common, material),
      refusals: this.#compiled?.refusals ?? new RefusalLog(this.#deps.clock, this.#deps.logger),
      known: this.#compiled?.known ?? new KnownCertificates(),
    };
    return this.#compiled;
  }
}

class ClientHandshake implements Pending {
  readonly #socket: TLSSocket;
  readonly #raw: Socket;
  readonly #compiled: Compiled;
  readonly #sni: string;
  readonly #verifyNames: readonly string[];
  readonly #handler: HandshakeHandler;
  readonly #stats: TlsStats;
  readonly #clock: Clock;
  readonly #resumed: ResumableSession | undefined;
  readonly #alert: RefusalAlert | undefined;
  #done = false;
  /** The verified server; undefined before. */
  #certificate: X509Certificate | undefined;
  #earlySession: Buffer | undefined;

  constructor(
    raw: Socket,
    compiled: Compiled,
    { sni, alpn, verifyNames }: Required<Omit<ClientHandshakeOptions, "alpnFallback">>,
    handler: HandshakeHandler,
    stats: TlsStats,
    clock: Clock,
  ) {
    this.#raw = raw;
    this.#compiled = compiled;
    this.#sni = sni;
    this.#verifyNames = verifyNames;
    this.#handler = handler;
    this.#stats = stats;
    this.#clock = clock;
    this.#resumed = compiled.sessions.take(sni);
    this.#socket = connect({
      socket: raw,
      secureContext: compiled.context,
      // Judged in #onSecure, where every kind of failure gets its own words.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      ...(sni === "" ? {} : { servername: sni }),
      ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
      ...(this.#resumed === undefined ? {} : { session: this.#resumed.session }),
    });
    if (compiled.material.validation !== undefined) this.#alert = new RefusalAlert(this.#socket, raw, "client");
    this.#socket.once("secureConnect", () => this.#onSecure());
    this.#socket.on("session", (ticket) => this.#onSession(ticket));
    this.#socket.on("error", (error) => this.#onError(error));
    this.#socket.once("close", () => this.#fail(undefined, undefined));
  }

  cancel(): void {
    if (this.#done) return;
    this.#done = true;
    this.#destroy();
  }

  #onSecure(): void {
    if (this.#done) return;
    const socket = this.#socket;
    // A server that resumed has proved to hold the secret of a connection whose certificate was verified under this version.
    const certificate = socket.getPeerX509Certificate() ?? (socket.isSessionReused() ? this.#resumed?.certificate : undefined);
    if (certificate === undefined) return this.#fail("TLS error: no server certificate", undefined);
    const known = this.#compiled.known.read(certificate);
    const { names } = known;
    const verdict = this.#compiled.verify(socket, certificate, names, this.#clock.wallMs(), this.#verifyNames);
    if (!verdict.ok) {
      this.#stats.onVerifyFailed(verdict.failure);
      const hint = this.#compiled.hints.ofPeer(verdict.failure, certificate);
      const reason = verifyFailureReason(verdict.failure, hint);
      this.#compiled.refusals.refused("server", hint ?? reason, names.uriSans[0] ?? names.subject);
      this.#alert?.send(verdict.failure.alert);
      return this.#fail(reason, undefined);
    }
    this.#done = true;
    this.#alert?.release();
    this.#certificate = certificate;
    const peer = describePeer(socket, certificate, known, verdict.validated, this.#compiled.local);
    this.#stats.onSecure(peer, socket.isSessionReused());
    if (this.#earlySession !== undefined) this.#onSession(this.#earlySession);
    this.#handler.onSecure(socket, peer, socket.alpnProtocol || "");
  }

  // TLS 1.2 delivers its session before the server was judged; it is kept only once it was.
  #onSession(ticket: Buffer): void {
    if (this.#certificate !== undefined) this.#compiled.sessions.put(this.#sni, ticket, this.#certificate);
    else this.#earlySession = ticket;
  }

  // Stays attached for the socket's life: whoever owns it later may not have a listener yet.
  #onError(error: NodeJS.ErrnoException): void {
    const reason = tlsErrorReason(error);
    const hint = this.#compiled.hints.ofSelf(error.code);
    if (hint !== undefined) this.#compiled.refusals.refused("own", hint, this.#sni);
    const whole = reason === undefined ? undefined : hinted(reason, hint);
    if (this.#done) {
      if (whole !== undefined && error.code?.startsWith("ERR_SSL_")) tellReason(error, whole);
      return;
    }
    this.#stats.onError(error.code);
    this.#fail(whole, error);
  }

  #fail(reason: string | undefined, cause: unknown): void {
    if (this.#done) return;
    this.#done = true;
    this.#destroy();
    this.#handler.onFailed(tlsFailed(reason, cause));
  }

  #destroy(): void {
    this.#alert?.release();
    this.#socket.destroy();
    this.#raw.destroy();
  }
}

// Nothing of the request was sent yet, so another attempt is safe.
function tlsFailed(reason: string | undefined, cause?: unknown): ProxyError {
  return new ProxyError("upstream_tls_failed", { side: "upstream", retryable: true, cause, ...(reason === undefined ? {} : { reason }) });
}

// Outcomes never arrive inside the call that asked for them.
function failLater(socket: Socket, handler: HandshakeHandler, error: ProxyError): Pending {
  let done = false;
  process.nextTick(() => {
    if (done) return;
    done = true;
    socket.destroy();
    handler.onFailed(error);
  });
  return {
    cancel: () => {
      if (done) return;
      done = true;
      socket.destroy();
    },
  };
}
