// Terminates TLS: a DownstreamTlsContext compiled to one call per accepted connection. Reads the ClientHello first where
// the listener has not, because ALPN is answered by this server's order and left out when nothing is common.
import type { Server as NetServer, Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { Clock, Timer } from "../clock.ts";
import type { DownstreamTlsContext } from "../envoy/tls/tls.ts";
import { ProxyError } from "../error.ts";
import type { ProxyErrorCode } from "../error.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { StatsScope } from "../telemetry/stats.ts";
import { inspectClientHello, malformedServerName } from "../wire/client-hello.ts";
import { selectProtocol, usableProtocols } from "./alpn.ts";
import {
  helloTooLargeReason,
  hinted,
  malformedNameReason,
  secretMissingReason,
  tlsErrorReason,
  verifyFailureReason,
} from "./failure-reason.ts";
import { RefusalLog } from "./foreign-root.ts";
import { RefusalAlert } from "./handshake-alert.ts";
import { MaterialSource } from "./context/material.ts";
import { type KnownCertificate, KnownCertificates } from "./known-certificate.ts";
import { describePeer } from "./peer.ts";
import type { SecretLookup } from "./secret-store.ts";
import { compileServerContext } from "./context/server-context.ts";
import type { PresentedContext, ServerContext } from "./context/server-context.ts";
import { TlsStats } from "./tls-stats.ts";
import type { HandshakeHandler, Pending, ServerTransport } from "./transport.ts";
import { noNames } from "./x509/certificate-names.ts";

/** What server transports are given. */
export interface ServerTransportDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  /** The listener's `ssl` scope. */
  readonly stats?: StatsScope;
}

/** The most that is read while waiting for a whole ClientHello: one maximal record and its header, as Envoy's inspector allows. */
const maxHelloBytes = 16 * 1024 + 5;

/** The longest handshake message that BoringSSL takes. */
const maxMessageBytes = 16 * 1024;

/** The length that the ClientHello says it has; 0 where its head is no whole one. */
function announcedBytes(held: Buffer): number {
  return held.length < 9 || held[0] !== 22 || held.readUInt16BE(3) < 4 ? 0 : held.readUIntBE(6, 3);
}

// Alerts of RFC 8446 section 6.2 that BoringSSL sends in these cases.
const illegalParameter = 47;
const unrecognizedName = 112;

/** Compiles a DownstreamTlsContext; contexts are built at the first handshake after a secret changed. */
export function createServerTransport(tls: DownstreamTlsContext, secrets: SecretLookup, deps: ServerTransportDeps): ServerTransport {
  return new NodeServerTransport(tls, secrets, deps);
}

/** What a handshake needs of its transport. */
interface Shared {
  readonly clock: Clock;
  readonly stats: TlsStats;
  readonly alpn: readonly string[];
  readonly requireSni: boolean;
  readonly refusals: RefusalLog;
  readonly known: KnownCertificates;
}

class NodeServerTransport implements ServerTransport {
  readonly #tls: DownstreamTlsContext;
  readonly #source: MaterialSource;
  readonly #logger: Logger;
  readonly #shared: Shared;
  #compiled: ServerContext | undefined;

  constructor(tls: DownstreamTlsContext, secrets: SecretLookup, deps: ServerTransportDeps) {
    this.#tls = tls;
    this.#source = new MaterialSource(tls.common, secrets);
    this.#logger = deps.logger;
    this.#shared = {
      clock: deps.clock,
      stats: new TlsStats(deps.stats),
      alpn: usableProtocols(tls.common.alpnProtocols),
      requireSni: tls.requireSni,
      refusals: new RefusalLog(deps.clock, deps.logger),
      known: new KnownCertificates(),
    };
  }

  get ready(): boolean {
    return this.#source.get() !== undefined;
  }

  handshake(socket: Socket, initialBytes: Buffer | undefined, timeoutMs: number, handler: HandshakeHandler): Pending {
    let context: ServerContext | ProxyError;
    try {
      context = this.#compile() ?? failed("downstream_protocol_error", secretMissingReason);
    } catch (thrown) {
      const message = thrown instanceof Error ? thrown.message : String(thrown);
      this.#logger.warn("TLS context cannot be built", { error: message });
      context = failed("internal", `TLS error: ${message}`, thrown);
    }
    return new ServerHandshake(socket, context, initialBytes, timeoutMs, handler, this.#shared);
  }

  #compile(): ServerContext | undefined {
    const material = this.#source.get();
    if (material === undefined || this.#compiled?.material === material) return material && this.#compiled;
    this.#compiled = compileServerContext(this.#tls, material, this.#shared.clock, (message) => this.#logger.warn(message));
    return this.#compiled;
  }
}

class ServerHandshake implements Pending {
  readonly #raw: Socket;
  readonly #context: ServerContext | ProxyError;
  readonly #handler: HandshakeHandler;
  readonly #shared: Shared;
  readonly #timer: Timer | undefined;
  #held: Buffer;
  #tls: TLSSocket | undefined;
  #presented: PresentedContext | undefined;
  #alert: RefusalAlert | undefined;
  #done = false;

  constructor(
    raw: Socket,
    context: ServerContext | ProxyError,
    initialBytes: Buffer | undefined,
    timeoutMs: number,
    handler: HandshakeHandler,
    shared: Shared,
  ) {
    this.#raw = raw;
    this.#context = context;
    this.#handler = handler;
    this.#shared = shared;
    this.#held = initialBytes ?? Buffer.alloc(0);
    this.#timer =
      timeoutMs > 0 ? shared.clock.after(timeoutMs, () => this.#fail(failed("downstream_closed", "transport_socket_timeout"))) : undefined;
    raw.on("error", this.#onError);
    raw.once("close", this.#onClose);
    // Outcomes never arrive inside the call that asked for them.
    process.nextTick(() => this.#start());
  }

  cancel(): void {
    if (this.#done) return;
    this.#finish();
    this.#destroy();
  }

  #start(): void {
    if (this.#done) return;
    if (this.#context instanceof ProxyError) return this.#fail(this.#context);
    if (this.#raw.destroyed) return this.#onClose();
    if (!this.#inspect(this.#context)) {
      this.#raw.on("data", this.#onData);
      this.#raw.once("end", this.#onClose);
      this.#raw.resume();
    }
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#done || this.#context instanceof ProxyError) return;
    this.#held = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    if (!this.#inspect(this.#context)) return;
    this.#raw.removeListener("data", this.#onData);
    this.#raw.removeListener("end", this.#onClose);
  };

  // True when there is no more to wait for. What is no hello goes to OpenSSL all the same: it knows the alert for it.
  #inspect(context: ServerContext): boolean {
    const hello = inspectClientHello(this.#held);
    if (hello.kind === "incomplete" && this.#held.length < maxHelloBytes) return false;
    // OpenSSL would take both, with a name and protocols that nobody here has seen.
    if (hello.kind === "incomplete" || announcedBytes(this.#held) > maxMessageBytes)
      return this.#refuse(illegalParameter, helloTooLargeReason);
    if (hello.kind === "invalid" && hello.reason === malformedServerName) return this.#refuse(unrecognizedName, malformedNameReason);
    const serverName = hello.kind === "hello" ? (hello.serverName ?? "") : "";
    if (this.#shared.requireSni && serverName === "") this.#fail(failed("downstream_protocol_error", "TLS error: no SNI"));
    else this.#wrap(context, serverName, selectProtocol(this.#shared.alpn, hello.kind === "hello" ? hello.alpn : []));
    return true;
  }

  // Before there are keys, so that the alert goes as it is.
  #refuse(alert: number, reason: string): true {
    if (!this.#raw.destroyed) this.#raw.write(Buffer.from([21, 3, 1, 0, 2, 2, alert]));
    this.#fail(failed("downstream_protocol_error", reason));
    return true;
  }

  #wrap(context: ServerContext, serverName: string, protocol: string | undefined): void {
    const raw = this.#raw;
    try {
      this.#presented = context.present(serverName);
    } catch (thrown) {
      return this.#fail(failed("internal", `TLS error: ${thrown instanceof Error ? thrown.message : String(thrown)}`, thrown));
    }
    raw.pause();
    if (this.#held.length > 0) raw.unshift(this.#held);
    this.#held = Buffer.alloc(0);
    const tls = new TLSSocket(raw, {
      isServer: true,
      secureContext: this.#presented.context,
      requestCert: context.requestCertificate,
      // To Node this means no more than "refuse a client without certificate"; the verdict on a presented one is ours.
      rejectUnauthorized: context.requireCertificate,
      // Node answers a list without a common protocol with a fatal alert, so it hears only of a choice that was already made.
      ...(protocol === undefined ? {} : { ALPNProtocols: [protocol] }),
      ...(this.#presented.staples === undefined ? {} : { server: this.#presented.staples as NetServer }),
    });
    this.#tls = tls;
    if (context.requestCertificate) this.#alert = new RefusalAlert(tls, raw, "server");
    tls.once("secure", () => this.#onSecure(context));
    tls.on("error", this.#onError);
    tls.once("end", this.#onClose);
    tls.once("close", this.#onClose);
  }

  #onSecure(context: ServerContext): void {
    const tls = this.#tls;
    if (this.#done || tls === undefined) return;
    const certificate = tls.getPeerX509Certificate();
    let known: KnownCertificate | undefined;
    let validated = false;
    if (certificate === undefined) {
      if (context.requireCertificate) return this.#fail(failed("downstream_protocol_error", "TLS error: no client certificate"));
    } else {
      known = this.#shared.known.read(certificate);
      const { names } = known;
      const verdict = context.verify(tls, certificate, names, this.#shared.clock.wallMs());
      if (!verdict.ok) {
        this.#shared.stats.onVerifyFailed(verdict.failure);
        this.#alert?.send(verdict.failure.alert);
        const hint = context.hints.ofPeer(verdict.failure, certificate);
        const reason = verifyFailureReason(verdict.failure, hint);
        this.#shared.refusals.refused("client", hint ?? reason, names.uriSans[0] ?? names.subject);
        return this.#fail(failed("downstream_protocol_error", reason));
      }
      validated = verdict.validated;
    }
    const peer = describePeer(tls, certificate, known, validated, this.#presented?.local ?? noNames);
    this.#shared.stats.onSecure(peer, tls.isSessionReused());
    this.#finish();
    this.#handler.onSecure(tls, peer, tls.alpnProtocol || "");
  }

  // Stays attached for the socket's life: whoever owns it later may not have a listener yet.
  readonly #onError = (error: NodeJS.ErrnoException): void => {
    if (this.#done) return;
    this.#shared.stats.onError(error.code);
    const code = error.code?.startsWith("ERR_SSL_") ? "downstream_protocol_error" : "downstream_closed";
    const reason = tlsErrorReason(error);
    const hint = this.#context instanceof ProxyError ? undefined : this.#context.hints.ofSelf(error.code);
    if (hint !== undefined) this.#shared.refusals.refused("own", hint, this.#raw.remoteAddress ?? "");
    this.#fail(failed(code, reason === undefined ? undefined : hinted(reason, hint), error));
  };

  readonly #onClose = (): void => this.#fail(failed("downstream_closed", undefined));

  #fail(error: ProxyError): void {
    if (this.#done) return;
    this.#finish();
    this.#destroy();
    this.#handler.onFailed(error);
  }

  #finish(): void {
    this.#done = true;
    this.#timer?.cancel();
    this.#alert?.release();
    this.#raw.removeListener("close", this.#onClose);
    this.#tls?.removeListener("end", this.#onClose);
    this.#tls?.removeListener("close", this.#onClose);
  }

  #destroy(): void {
    this.#tls?.destroy();
    this.#raw.destroy();
  }
}

function failed(code: ProxyErrorCode, reason: string | undefined, cause?: unknown): ProxyError {
  return new ProxyError(code, {
    side: code === "internal" ? "internal" : "downstream",
    cause,
    ...(reason === undefined ? {} : { reason }),
  });
}
