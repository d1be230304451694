// Envoy extensions.filters.http.decompressor.v3.Decompressor.
import type { DecompressorSettings } from "../../wire/content-coding.ts";
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { bool } from "../decode/scalars.ts";
import { decodeDecompressorLibrary, type Library } from "./compression-library.ts";
import { decodeFeatureFlag } from "./feature-flag.ts";

/** What both directions have. */
export interface DecompressedDirection {
  readonly enabled: boolean;
  /** Decompresses also what says `cache-control: no-transform`. */
  readonly ignoreNoTransform: boolean;
}

/** Decompressor. */
export interface DecompressorConfig {
  readonly library: Library<DecompressorSettings>;
  readonly request: DecompressedDirection;
  /** Upstreams are told that this coding is understood. */
  readonly advertise: boolean;
  readonly response: DecompressedDirection;
}

const strict = { unhandled: "error" } as const;
const byDefault: DecompressedDirection = { enabled: true, ignoreNoTransform: false };

const direction: Decoder<DecompressedDirection> = message(
  "envoy.extensions.filters.http.decompressor.v3.Decompressor.CommonDirectionConfig",
  (m) => ({
    enabled: m.field("enabled", decodeFeatureFlag, true),
    ignoreNoTransform: m.field("ignore_no_transform_header", bool, false),
  }),
  strict,
);

const decodeRequests = message(
  "envoy.extensions.filters.http.decompressor.v3.Decompressor.RequestDirectionConfig",
  (m) => ({
    direction: m.field("common_config", direction, byDefault),
    advertise: m.field("advertise_accept_encoding", bool, true),
  }),
  strict,
);

const decodeResponses: Decoder<DecompressedDirection> = message(
  "envoy.extensions.filters.http.decompressor.v3.Decompressor.ResponseDirectionConfig",
  (m) => m.field("common_config", direction, byDefault),
  strict,
);

/** Decompressor. */
export const decodeDecompressor: Decoder<DecompressorConfig> = message(
  "envoy.extensions.filters.http.decompressor.v3.Decompressor",
  (m) => {
    const requests = m.field("request_direction_config", decodeRequests, { direction: byDefault, advertise: true });
    return {
      library: m.required("decompressor_library", decodeDecompressorLibrary),
      request: requests.direction,
      advertise: requests.advertise,
      response: m.field("response_direction_config", decodeResponses, byDefault),
    };
  },
  strict,
);
