// Envoy extensions.filters.http.compressor.v3.Compressor and its per-route form.
import type { CompressorSettings } from "../../wire/content-coding.ts";
import type { Decoder } from "../decode/cursor.ts";
import { type Fields, message } from "../decode/message.ts";
import { bool, integer, list, onlyTrue, text, uint32 } from "../decode/scalars.ts";
import { decodeCompressorLibrary, type Library } from "./compression-library.ts";
import { decodeFeatureFlag } from "./feature-flag.ts";

/** What both directions have. */
export interface CompressedDirection {
  readonly enabled: boolean;
  /** Messages that say to be shorter are left alone; default 30 bytes. */
  readonly minContentLength: number;
  /** Media types that are compressed, lower case. */
  readonly contentTypes: readonly string[];
}

/** The response direction. */
export interface CompressedResponses extends CompressedDirection {
  readonly disableOnEtag: boolean;
  /** Strong ETags become weak ones instead of being removed. */
  readonly weakenEtag: boolean;
  readonly removeAcceptEncoding: boolean;
  readonly uncompressibleCodes: readonly number[];
  /** Responses say in `x-envoy-compression-status` what was decided. */
  readonly statusHeader: boolean;
  /** response_direction_config is given, which names its statistics. */
  readonly explicit: boolean;
}

/** Compressor. */
export interface CompressorConfig {
  readonly library: Library<CompressorSettings>;
  readonly request: CompressedDirection;
  readonly response: CompressedResponses;
  /** Wins among codings that the client likes as much. */
  readonly chooseFirst: boolean;
}

/** CompressorPerRoute. */
export interface CompressorPerRoute {
  readonly disabled: boolean;
  /** Undefined: the filter's own. */
  readonly removeAcceptEncoding: boolean | undefined;
  /** The route compresses responses whether the filter does or not. */
  readonly enablesResponses: boolean;
  readonly library: Library<CompressorSettings> | undefined;
}

const strict = { unhandled: "error" } as const;

// Envoy's list, synonyms included.
const defaultTypes: readonly string[] = [
  "text/html",
  "text/plain",
  "text/css",
  "application/javascript",
  "application/x-javascript",
  "text/javascript",
  "text/x-javascript",
  "text/ecmascript",
  "text/js",
  "text/jscript",
  "text/x-js",
  "application/ecmascript",
  "application/x-json",
  "application/xml",
  "application/json",
  "image/svg+xml",
  "text/xml",
  "application/xhtml+xml",
];
const defaultMinContentLength = 30;

const contentTypes = (m: Fields): readonly string[] => {
  const given = m.field("content_type", list(text), []);
  return given.length === 0 ? defaultTypes : given;
};

const direction: Decoder<CompressedDirection> = message(
  "envoy.extensions.filters.http.compressor.v3.Compressor.CommonDirectionConfig",
  (m) => ({
    enabled: m.field("enabled", decodeFeatureFlag, true),
    minContentLength: m.field("min_content_length", uint32, defaultMinContentLength),
    contentTypes: contentTypes(m),
  }),
  strict,
);

const enabledDirection: CompressedDirection = {
  enabled: true,
  minContentLength: defaultMinContentLength,
  contentTypes: defaultTypes,
};

const decodeRequests: Decoder<CompressedDirection> = message(
  "envoy.extensions.filters.http.compressor.v3.Compressor.RequestDirectionConfig",
  (m) => m.field("common_config", direction, enabledDirection),
  strict,
);

const decodeResponses: Decoder<CompressedResponses> = message(
  "envoy.extensions.filters.http.compressor.v3.Compressor.ResponseDirectionConfig",
  (m) => ({
    ...m.field("common_config", direction, enabledDirection),
    disableOnEtag: m.field("disable_on_etag_header", bool, false),
    weakenEtag: m.field("weaken_etag_on_compress", bool, false),
    removeAcceptEncoding: m.field("remove_accept_encoding_header", bool, false),
    uncompressibleCodes: m.field("uncompressible_response_codes", list(integer(200, 599)), []),
    statusHeader: m.field("status_header_enabled", bool, false),
    explicit: true,
  }),
  strict,
);

/** Compressor. */
export const decodeCompressor: Decoder<CompressorConfig> = message(
  "envoy.extensions.filters.http.compressor.v3.Compressor",
  (m) => {
    const library = m.required("compressor_library", decodeCompressorLibrary);
    const request = m.field("request_direction_config", decodeRequests, { ...enabledDirection, enabled: false });
    // The older fields count where the newer are absent.
    const older: CompressedResponses = {
      enabled: m.field("runtime_enabled", decodeFeatureFlag, true),
      minContentLength: m.field("content_length", uint32, defaultMinContentLength),
      contentTypes: contentTypes(m),
      disableOnEtag: m.field("disable_on_etag_header", bool, false),
      weakenEtag: false,
      removeAcceptEncoding: m.field("remove_accept_encoding_header", bool, false),
      uncompressibleCodes: [],
      statusHeader: false,
      explicit: false,
    };
    return {
      library,
      request,
      response: m.field("response_direction_config", decodeResponses, older),
      chooseFirst: m.field("choose_first", bool, false),
    };
  },
  strict,
);

const decodeResponseOverrides = message(
  "envoy.extensions.filters.http.compressor.v3.ResponseDirectionOverrides",
  (m) => m.field("remove_accept_encoding_header", bool, undefined),
  strict,
);

const decodeOverrides: Decoder<CompressorPerRoute> = message(
  "envoy.extensions.filters.http.compressor.v3.CompressorOverrides",
  (m) => ({
    disabled: false,
    enablesResponses: m.has("response_direction_config"),
    removeAcceptEncoding: m.field("response_direction_config", decodeResponseOverrides, undefined),
    library: m.field("compressor_library", decodeCompressorLibrary, undefined),
  }),
  strict,
);

const disabled: CompressorPerRoute = { disabled: true, removeAcceptEncoding: undefined, enablesResponses: false, library: undefined };

/** CompressorPerRoute. */
export const decodeCompressorPerRoute: Decoder<CompressorPerRoute> = message(
  "envoy.extensions.filters.http.compressor.v3.CompressorPerRoute",
  (m) =>
    m.requiredOneof<CompressorPerRoute>({ disabled: (json, at) => (onlyTrue(json, at), disabled), overrides: decodeOverrides }, disabled),
  strict,
);
