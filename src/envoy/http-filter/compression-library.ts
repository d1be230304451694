// Envoy extensions.compression.*: how a compressor or a decompressor is set up, by content coding.
import { constants } from "node:zlib";
import { anyOf, unsupportedType } from "../decode/any.ts";
import type { Decoder } from "../decode/cursor.ts";
import { type Fields, message } from "../decode/message.ts";
import { bool, enumeration, integer, nonEmpty } from "../decode/scalars.ts";
import type { CompressorSettings, DecompressorSettings } from "../../wire/content-coding.ts";

/** A library under its name in the configuration, which statistics carry. */
export interface Library<Settings> {
  readonly name: string;
  readonly settings: Settings;
}

const strict = { unhandled: "error" } as const;

const chunkBytes = integer(4096, 65_536);
// Sizes of Envoy's own buffers.
const acceptBuffers = (m: Fields): void => void m.field("chunk_size", chunkBytes, undefined);

const gzipLevel = enumeration({
  DEFAULT_COMPRESSION: 0,
  BEST_SPEED: 1,
  COMPRESSION_LEVEL_1: 1,
  COMPRESSION_LEVEL_2: 2,
  COMPRESSION_LEVEL_3: 3,
  COMPRESSION_LEVEL_4: 4,
  COMPRESSION_LEVEL_5: 5,
  COMPRESSION_LEVEL_6: 6,
  COMPRESSION_LEVEL_7: 7,
  COMPRESSION_LEVEL_8: 8,
  COMPRESSION_LEVEL_9: 9,
  BEST_COMPRESSION: 9,
});
const namedLevels: Readonly<Record<string, number>> = { DEFAULT_COMPRESSION: -1, BEST_SPEED: 1, BEST_COMPRESSION: 9 };
const gzipStrategies = {
  DEFAULT_STRATEGY: constants.Z_DEFAULT_STRATEGY,
  FILTERED: constants.Z_FILTERED,
  HUFFMAN_ONLY: constants.Z_HUFFMAN_ONLY,
  RLE: constants.Z_RLE,
  FIXED: constants.Z_FIXED,
};
const gzipStrategy = enumeration({ DEFAULT_STRATEGY: 0, FILTERED: 1, HUFFMAN_ONLY: 2, RLE: 3, FIXED: 4 });
const windowBits = integer(9, 15);

const decodeGzip: Decoder<CompressorSettings> = message(
  "envoy.extensions.compression.gzip.compressor.v3.Gzip",
  (m) => {
    acceptBuffers(m);
    const level = m.field("compression_level", gzipLevel, "DEFAULT_COMPRESSION");
    return {
      coding: "gzip",
      level: namedLevels[level] ?? Number(level.slice(-1)),
      memoryLevel: m.field("memory_level", integer(1, 9), 5),
      windowBits: m.field("window_bits", windowBits, 12),
      strategy: gzipStrategies[m.field("compression_strategy", gzipStrategy, "DEFAULT_STRATEGY")],
    };
  },
  strict,
);

// Envoy passes its own numbers on, whose DEFAULT is generic.
const brotliModes = { DEFAULT: 0, GENERIC: 0, TEXT: 1, FONT: 2 };
const brotliMode = enumeration({ DEFAULT: 0, GENERIC: 1, TEXT: 2, FONT: 3 });

const decodeBrotli: Decoder<CompressorSettings> = message(
  "envoy.extensions.compression.brotli.compressor.v3.Brotli",
  (m) => {
    acceptBuffers(m);
    return {
      coding: "br",
      parameters: {
        [constants.BROTLI_PARAM_QUALITY]: m.field("quality", integer(0, 11), 3),
        [constants.BROTLI_PARAM_MODE]: brotliModes[m.field("encoder_mode", brotliMode, "DEFAULT")],
        [constants.BROTLI_PARAM_LGWIN]: m.field("window_bits", integer(10, 24), 18),
        [constants.BROTLI_PARAM_LGBLOCK]: m.field("input_block_bits", integer(16, 24), 24),
        [constants.BROTLI_PARAM_DISABLE_LITERAL_CONTEXT_MODELING]: m.field("disable_literal_context_modeling", bool, false) ? 1 : 0,
      },
    };
  },
  strict,
);

const zstdStrategies = {
  DEFAULT: 0,
  FAST: 1,
  DFAST: 2,
  GREEDY: 3,
  LAZY: 4,
  LAZY2: 5,
  BTLAZY2: 6,
  BTOPT: 7,
  BTULTRA: 8,
  BTULTRA2: 9,
};

const decodeZstd: Decoder<CompressorSettings> = message(
  "envoy.extensions.compression.zstd.compressor.v3.Zstd",
  (m) => {
    acceptBuffers(m);
    m.refuse("dictionaries", "dictionary");
    return {
      coding: "zstd",
      parameters: {
        [constants.ZSTD_c_compressionLevel]: m.field("compression_level", integer(0, 22), 3),
        [constants.ZSTD_c_checksumFlag]: m.field("enable_checksum", bool, false) ? 1 : 0,
        [constants.ZSTD_c_strategy]: zstdStrategies[m.field("strategy", enumeration(zstdStrategies), "DEFAULT")],
      },
    };
  },
  strict,
);

// Envoy's bound for the codings whose configuration has none.
const defaultInflateRatio = 100;

const decodeGunzip: Decoder<DecompressorSettings> = message(
  "envoy.extensions.compression.gzip.decompressor.v3.Gzip",
  (m) => {
    acceptBuffers(m);
    return {
      coding: "gzip",
      windowBits: m.field("window_bits", windowBits, 15),
      maxRatio: m.field("max_inflate_ratio", integer(1, 1032), defaultInflateRatio),
    };
  },
  strict,
);

const decodeUnbrotli: Decoder<DecompressorSettings> = message(
  "envoy.extensions.compression.brotli.decompressor.v3.Brotli",
  (m) => {
    acceptBuffers(m);
    m.accept("disable_ring_buffer_reallocation");
    return { coding: "br", maxRatio: defaultInflateRatio };
  },
  strict,
);

const decodeUnzstd: Decoder<DecompressorSettings> = message(
  "envoy.extensions.compression.zstd.decompressor.v3.Zstd",
  (m) => {
    acceptBuffers(m);
    m.refuse("dictionaries", "dictionaries");
    return { coding: "zstd", maxRatio: defaultInflateRatio };
  },
  strict,
);

function library<Settings>(decoders: Readonly<Record<string, Decoder<Settings>>>, neutral: Settings): Decoder<Library<Settings>> {
  const settings = anyOf<Settings>(decoders, (type, at) => {
    at.error(unsupportedType(type, Object.keys(decoders)));
    return neutral;
  });
  return message("envoy.config.core.v3.TypedExtensionConfig", (m) => ({
    name: m.required("name", nonEmpty),
    settings: m.required("typed_config", settings),
  }));
}

/** compressor_library. */
export const decodeCompressorLibrary: Decoder<Library<CompressorSettings>> = library<CompressorSettings>(
  {
    "envoy.extensions.compression.gzip.compressor.v3.Gzip": decodeGzip,
    "envoy.extensions.compression.brotli.compressor.v3.Brotli": decodeBrotli,
    "envoy.extensions.compression.zstd.compressor.v3.Zstd": decodeZstd,
  },
  { coding: "br", parameters: {} },
);

/** decompressor_library. */
export const decodeDecompressorLibrary: Decoder<Library<DecompressorSettings>> = library<DecompressorSettings>(
  {
    "envoy.extensions.compression.gzip.decompressor.v3.Gzip": decodeGunzip,
    "envoy.extensions.compression.brotli.decompressor.v3.Brotli": decodeUnbrotli,
    "envoy.extensions.compression.zstd.decompressor.v3.Zstd": decodeUnzstd,
  },
  { coding: "br", maxRatio: defaultInflateRatio },
);
