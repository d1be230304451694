// The deadlines of one exchange. HTTP/1 keeps one set a connection and lends it to each request in turn, so that a request
// arms and clears deadlines without touching a timer (net/deadline.ts).
import type { Clock } from "../clock.ts";
import { LazyDeadline } from "../net/deadline.ts";
import type { HttpStream } from "./stream.ts";

/** Who is told of the deadlines that the router arms. */
export interface AttemptTimeouts {
  onResponseTimeout(): void;
  onPerTryTimeout(): void;
}

/** Deadlines of the stream that holds them. */
export class StreamTimers {
  #stream: HttpStream | undefined;
  #idleMs = 0;
  readonly #idle: LazyDeadline;
  readonly #request: LazyDeadline;
  readonly #duration: LazyDeadline;
  /** When the first byte of the next request came, where its head did not come at once; 0 = with its stream. */
  requestBeganMs = 0;
  /** Route timeout and per-try timeouts: armed by the router, which says what happens. */
  readonly response: LazyDeadline;
  readonly perTry: LazyDeadline;
  /** Set by the router for the length of a stream. */
  attempt: AttemptTimeouts | undefined = undefined;

  constructor(clock: Clock) {
    this.#idle = new LazyDeadline(clock, () => this.#stream?.onIdleTimeout());
    this.#request = new LazyDeadline(clock, () => this.#stream?.onRequestTimeout());
    this.#duration = new LazyDeadline(clock, () => this.#stream?.onDurationTimeout());
    this.response = new LazyDeadline(clock, () => this.attempt?.onResponseTimeout());
    this.perTry = new LazyDeadline(clock, () => this.attempt?.onPerTryTimeout());
  }

  /** A stream takes the set over. */
  start(stream: HttpStream): void {
    this.#stream = stream;
    const { config } = stream.manager;
    const { nowMs } = stream;
    this.setIdle(config.streamIdleTimeoutMs, nowMs);
    if (config.requestTimeoutMs > 0) this.#beginRequest(stream, config.requestTimeoutMs);
    if (config.maxStreamDurationMs > 0) this.#duration.set(config.maxStreamDurationMs, nowMs);
  }

  #beginRequest({ requestComplete, nowMs }: HttpStream, timeoutMs: number): void {
    const goneMs = this.requestBeganMs === 0 ? 0 : nowMs - this.requestBeganMs;
    this.requestBeganMs = 0;
    if (!requestComplete) this.#request.set(Math.max(timeoutMs - goneMs, 1), nowMs);
  }

  /** Changes the idle timeout (a route may); 0 = none. */
  setIdle(idleMs: number, nowMs: number): void {
    this.#idleMs = idleMs;
    if (idleMs > 0) this.#idle.set(idleMs, nowMs);
    else this.#idle.clear();
  }

  /** Changes the longest duration of the exchange, counted from now; 0 = none. */
  setDuration(durationMs: number, nowMs: number): void {
    if (durationMs > 0) this.#duration.set(durationMs, nowMs);
    else this.#duration.clear();
  }

  /** Bytes moved. */
  touch(nowMs: number): void {
    if (this.#idleMs > 0) this.#idle.set(this.#idleMs, nowMs);
  }

  /** The stream is over. */
  stop(): void {
    this.#stream = undefined;
    this.attempt = undefined;
    this.#idle.clear();
    this.#request.clear();
    this.#duration.clear();
    this.response.clear();
    this.perTry.clear();
  }

  /** The connection is gone: no timer may keep it in memory. */
  dispose(): void {
    this.stop();
    for (const deadline of [this.#idle, this.#request, this.#duration, this.response, this.perTry]) deadline.dispose();
  }
}
