// Slows a response's body down to a rate: bytes wait here and go on in slices, as Envoy's fault filter lets them go.
import type { Clock, Timer } from "../clock.ts";
import { keepReadBuffer } from "../net/socket-reader.ts";
import type { HeaderMap } from "../wire/header-map.ts";

// Envoy's: a slice every 50 ms, and no more than those of one second at once.
const sliceMs = 50;
const mostSlices = 1000 / sliceMs;
const nothing = Buffer.alloc(0);

/** What takes the bytes when their time has come. */
export interface ThrottledSink {
  /** Part of the body, or all that is left of it. */
  onThrottledData(data: Buffer, endStream: boolean): void;
  onThrottledTrailers(trailers: HeaderMap): void;
  /** There is room again after a write returned false. */
  onThrottleDrained(): void;
}

/** One response. */
export class ResponseThrottle {
  readonly #clock: Clock;
  readonly #sliceBytes: number;
  readonly #limitBytes: number;
  readonly #sink: ThrottledSink;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #ended = false;
  #full = false;
  #trailers: HeaderMap | undefined = undefined;
  #timer: Timer | undefined = undefined;
  // Slices that may go now. A response begins with one.
  #slices = 1;
  #filledMs: number;

  /**
   * @param kibPerSecond the rate
   * @param limitBytes waiting bytes beyond which a write returns false
   */
  constructor(clock: Clock, kibPerSecond: number, limitBytes: number, sink: ThrottledSink) {
    this.#clock = clock;
    this.#sliceBytes = Math.max(1, Math.floor((kibPerSecond * 1024) / mostSlices));
    this.#limitBytes = limitBytes;
    this.#sink = sink;
    this.#filledMs = clock.nowMs();
  }

  /** Takes bytes; false: wait for `onThrottleDrained`. */
  write(data: Buffer, endStream: boolean): boolean {
    keepReadBuffer();
    if (data.length > 0) this.#pieces.push(data);
    this.#bytes += data.length;
    this.#ended ||= endStream;
    this.#full ||= this.#bytes >= this.#limitBytes;
    if (this.#timer === undefined) this.#go();
    return !this.#full;
  }

  /** The body is complete, with trailers behind it. */
  writeTrailers(trailers: HeaderMap): void {
    this.#trailers = trailers;
    this.#ended = true;
    if (this.#timer === undefined) this.#go();
  }

  /** Nothing goes on any more. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#pieces = [];
    this.#bytes = 0;
  }

  #go(): void {
    const wanted = Math.ceil(this.#bytes / this.#sliceBytes);
    const data = this.#take(this.#takeSlices(wanted) * this.#sliceBytes);
    if (this.#bytes > 0) this.#wait();
    const done = this.#bytes === 0 && this.#ended;
    const trailers = this.#trailers;
    if (data.length > 0 || (done && trailers === undefined)) this.#sink.onThrottledData(data, done && trailers === undefined);
    if (done && trailers !== undefined) this.#sink.onThrottledTrailers(trailers);
    if (!this.#full || this.#bytes >= this.#limitBytes) return;
    this.#full = false;
    this.#sink.onThrottleDrained();
  }

  #wait(): void {
    const waitMs = Math.max(this.#filledMs + sliceMs - this.#clock.nowMs(), 1);
    this.#timer = this.#clock.after(waitMs, () => {
      this.#timer = undefined;
      this.#go();
    });
  }

  #takeSlices(wanted: number): number {
    const filled = Math.floor((this.#clock.nowMs() - this.#filledMs) / sliceMs);
    this.#filledMs += filled * sliceMs;
    this.#slices = Math.min(mostSlices, this.#slices + filled);
    const taken = Math.min(wanted, this.#slices);
    this.#slices -= taken;
    return taken;
  }

  #take(most: number): Buffer {
    if (this.#bytes === 0) return nothing;
    const waiting = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces, this.#bytes);
    const data = waiting.subarray(0, most);
    const rest = waiting.subarray(data.length);
    this.#pieces = rest.length === 0 ? [] : [rest];
    this.#bytes = rest.length;
    return data;
  }
}
