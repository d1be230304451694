// Counts what a peer can make this side do for nothing, and says when it is too much: Envoy's limits and their meaning
// (Http2ProtocolOptions).

/** The limits, in frames. */
export interface FloodLimits {
  /** Frames of any kind that may wait to be written. */
  readonly maxOutboundFrames: number;
  /** PING, SETTINGS and RST_STREAM that may wait to be written. */
  readonly maxOutboundControlFrames: number;
  readonly maxConsecutiveEmptyFrames: number;
  readonly maxPriorityFramesPerStream: number;
  readonly maxWindowUpdatesPerDataFrame: number;
}

/** Which limit was passed; Envoy's stat of that name. */
export type Flood =
  | "outbound_flood"
  | "outbound_control_flood"
  | "inbound_empty_frames_flood"
  | "inbound_priority_frames_flood"
  | "inbound_window_update_frames_flood";

/** The counts of one connection. */
export class FloodGuard {
  readonly #limits: FloodLimits;
  #streams = 0;
  #emptyFrames = 0;
  #priorities = 0;
  #windowUpdates = 0;
  #dataFrames = 0;
  #waiting = 0;
  #waitingControl = 0;

  constructor(limits: FloodLimits) {
    this.#limits = limits;
  }

  /** A stream was opened by either side. */
  onStream(): void {
    this.#streams++;
  }

  /** HEADERS, CONTINUATION or DATA came. `useful`: it carried bytes or ended something. */
  onPayload(useful: boolean): Flood | undefined {
    if (useful) this.#emptyFrames = 0;
    else if (++this.#emptyFrames > this.#limits.maxConsecutiveEmptyFrames) return "inbound_empty_frames_flood";
    return undefined;
  }

  /** PRIORITY came. */
  onPriority(): Flood | undefined {
    this.#priorities++;
    return this.#priorities > this.#limits.maxPriorityFramesPerStream * (1 + this.#streams) ? "inbound_priority_frames_flood" : undefined;
  }

  /** WINDOW_UPDATE came. */
  onWindowUpdate(): Flood | undefined {
    this.#windowUpdates++;
    const most = 5 + 2 * (this.#streams + this.#limits.maxWindowUpdatesPerDataFrame * this.#dataFrames);
    return this.#windowUpdates > most ? "inbound_window_update_frames_flood" : undefined;
  }

  /** DATA goes out. */
  onDataSent(): void {
    this.#dataFrames++;
    this.#waiting++;
  }

  /** HEADERS go out. */
  onHeadersSent(): void {
    this.#waiting++;
  }

  /** An answer to a control frame, or a reset, goes out. */
  onControlSent(): Flood | undefined {
    this.#waiting++;
    if (++this.#waitingControl > this.#limits.maxOutboundControlFrames) return "outbound_control_flood";
    return this.#waiting > this.#limits.maxOutboundFrames ? "outbound_flood" : undefined;
  }

  /** The peer took everything that was written. */
  onDrained(): void {
    this.#waiting = 0;
    this.#waitingControl = 0;
  }
}
