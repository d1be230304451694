// What the peer of an HTTP/2 connection says of itself in SETTINGS (RFC 9113 section 6.5.2).
import type { HpackEncoder } from "../../wire/hpack/encoder.ts";
import { defaultMaxFrameBytes, h2Error, initialWindowBytes, largestWindow, settingId } from "../../wire/http2/frame.ts";
import type { SessionOptions } from "./session-options.ts";

// What RFC 9113 has as the largest SETTINGS_MAX_FRAME_SIZE.
const largestFrameBytes = 0xff_ffff;
/** This side's compression tables are not larger, whatever is allowed: they cost memory for each connection. */
const mostTableBytes = 4096;

/** How large this side's compression table is at most. */
export function encoderTableBytes({ headerTableBytes }: SessionOptions): number {
  return Math.min(headerTableBytes, mostTableBytes);
}

/** The settings in force. */
export class PeerSettings {
  /** Streams that this side may have open at once. */
  maxStreams = Infinity;
  /** What the peer takes of a new stream before it says more. */
  streamWindowBytes = initialWindowBytes;
  readonly #options: SessionOptions;
  readonly #encoder: HpackEncoder;

  constructor(options: SessionOptions, encoder: HpackEncoder) {
    this.#options = options;
    this.#encoder = encoder;
  }

  /** Takes one setting in; the error code it deserves, `noError` when there is nothing wrong with it. Unknown ones are ignored. */
  apply(id: number, value: number): number {
    switch (id) {
      case settingId.headerTableSize:
        this.#encoder.limitTable(value, encoderTableBytes(this.#options));
        return h2Error.noError;
      case settingId.enablePush:
        return protocolErrorIf(value > (this.#options.role === "server" ? 1 : 0));
      case settingId.maxConcurrentStreams:
        this.maxStreams = value;
        return h2Error.noError;
      case settingId.initialWindowSize:
        if (value > largestWindow) return h2Error.flowControlError;
        this.streamWindowBytes = value;
        return h2Error.noError;
      case settingId.maxFrameSize:
        // Only checked: frames are sent in the default size (frame-writer.ts).
        return protocolErrorIf(value < defaultMaxFrameBytes || value > largestFrameBytes);
      case settingId.enableConnectProtocol:
        return protocolErrorIf(value > 1);
      default:
        return h2Error.noError;
    }
  }
}

function protocolErrorIf(wrong: boolean): number {
  return wrong ? h2Error.protocolError : h2Error.noError;
}
