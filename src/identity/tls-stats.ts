// Envoy's `ssl.*` stats of one TLS context. Made on the first handshake, because most of thousands of clusters never see one.
import type { StatsScope } from "../telemetry/stats.ts";
import type { TlsPeer } from "../telemetry/stream-info.ts";
import type { VerifyFailure } from "./failure-reason.ts";

/** Counts the outcomes of handshakes under `scope`. */
export class TlsStats {
  readonly #scope: StatsScope | undefined;

  /** @param scope the listener's or cluster's scope with `ssl` appended; undefined counts nothing */
  constructor(scope: StatsScope | undefined) {
    this.#scope = scope;
  }

  /** A handshake ended well. */
  onSecure({ version, cipher, presented }: TlsPeer, resumed: boolean): void {
    const scope = this.#scope;
    if (scope === undefined) return;
    scope.counter("handshake").inc();
    if (resumed) scope.counter("session_reused").inc();
    if (!presented) scope.counter("no_certificate").inc();
    scope.counter(`versions.${version || "unknown"}`).inc();
    scope.counter(`ciphers.${cipher}`).inc();
  }

  /** The peer's certificate was refused. */
  onVerifyFailed(failure: VerifyFailure): void {
    this.#scope?.counter(`fail_verify_${failure.kind}`).inc();
    this.#scope?.counter("connection_error").inc();
  }

  /** OpenSSL ended the handshake. `code` is Node's error code. */
  onError(code: string | undefined): void {
    if (code === "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE") this.#scope?.counter("fail_verify_no_cert").inc();
    if (code?.startsWith("ERR_SSL_")) this.#scope?.counter("connection_error").inc();
  }
}
