import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { constants } from "node:zlib";
import { decodeCompressor, decodeCompressorPerRoute } from "../../../src/envoy/http-filter/compressor.ts";
import { decodeDecompressor } from "../../../src/envoy/http-filter/decompressor.ts";
import { decodeGrpcWeb } from "../../../src/envoy/http-filter/grpc-web.ts";
import { decodeRateLimit, decodeRateLimitPerRoute } from "../../../src/envoy/http-filter/ratelimit.ts";
import { decodeRateLimitPolicy } from "../../../src/envoy/route/rate-limit.ts";
import { accepted, any, issuesOf } from "./decoding.ts";

const library = (coding: string, way: string, fields: object = {}): object => ({
  name: "lib",
  typed_config: any(`envoy.extensions.compression.${coding}.${way}.v3.${coding[0]!.toUpperCase()}${coding.slice(1)}`, fields),
});

suite("compressor libraries", () => {
  for (const [title, json, settings] of [
    ["gzip's defaults", library("gzip", "compressor"), { coding: "gzip", level: -1, memoryLevel: 5, windowBits: 12, strategy: 0 }],
    [
      "gzip as asked for",
      library("gzip", "compressor", {
        compression_level: "COMPRESSION_LEVEL_7",
        memory_level: 9,
        window_bits: 15,
        compression_strategy: "RLE",
        chunk_size: 8192,
      }),
      { coding: "gzip", level: 7, memoryLevel: 9, windowBits: 15, strategy: constants.Z_RLE },
    ],
    [
      "gzip's fastest",
      library("gzip", "compressor", { compression_level: "BEST_SPEED" }),
      { coding: "gzip", level: 1, memoryLevel: 5, windowBits: 12, strategy: 0 },
    ],
    [
      "brotli's defaults",
      library("brotli", "compressor"),
      {
        coding: "br",
        parameters: {
          [constants.BROTLI_PARAM_QUALITY]: 3,
          [constants.BROTLI_PARAM_MODE]: 0,
          [constants.BROTLI_PARAM_LGWIN]: 18,
          [constants.BROTLI_PARAM_LGBLOCK]: 24,
          [constants.BROTLI_PARAM_DISABLE_LITERAL_CONTEXT_MODELING]: 0,
        },
      },
    ],
    [
      "zstd as asked for",
      library("zstd", "compressor", { compression_level: 9, enable_checksum: true, strategy: "LAZY2" }),
      {
        coding: "zstd",
        parameters: { [constants.ZSTD_c_compressionLevel]: 9, [constants.ZSTD_c_checksumFlag]: 1, [constants.ZSTD_c_strategy]: 5 },
      },
    ],
  ] as const) {
    test(title, () => assert.deepEqual(accepted(decodeCompressor, { compressor_library: json }).library.settings, settings));
  }
});

suite("compressor", () => {
  const base = { compressor_library: library("gzip", "compressor") };
  test("compresses responses alone unless told otherwise", () => {
    const { request, response } = accepted(decodeCompressor, base);
    assert.deepEqual([request.enabled, response.enabled, response.minContentLength, response.explicit], [false, true, 30, false]);
    assert.ok(response.contentTypes.includes("application/json"));
  });

  test("older fields count only without response_direction_config", () => {
    const older = { content_length: 5, content_type: ["a/b"], disable_on_etag_header: true, remove_accept_encoding_header: true };
    const { response } = accepted(decodeCompressor, { ...base, ...older });
    assert.deepEqual(
      [response.minContentLength, response.contentTypes, response.disableOnEtag, response.removeAcceptEncoding],
      [5, ["a/b"], true, true],
    );
    const newer = accepted(decodeCompressor, { ...base, ...older, response_direction_config: {} }).response;
    assert.deepEqual([newer.minContentLength, newer.disableOnEtag, newer.explicit], [30, false, true]);
  });

  for (const [title, json, issues] of [
    ["without a library", {}, ["error compressor_library: required, but not given"]],
    [
      "with a level that is none",
      { compressor_library: library("gzip", "compressor", { memory_level: 10 }) },
      ["error compressor_library.typed_config.memory_level: expected a number from 1 to 9, got 10"],
    ],
    [
      "with a dictionary",
      { compressor_library: library("zstd", "compressor", { dictionary: {} }) },
      ["error compressor_library.typed_config.dictionary: not supported: dictionaries"],
    ],
  ] as const) {
    test(`is refused ${title}`, () => assert.deepEqual(issuesOf(decodeCompressor, json), issues));
  }

  test("a route disables it or overrides it", () => {
    assert.equal(accepted(decodeCompressorPerRoute, { disabled: true }).disabled, true);
    const { removeAcceptEncoding, enablesResponses } = accepted(decodeCompressorPerRoute, {
      overrides: { response_direction_config: { remove_accept_encoding_header: true } },
    });
    assert.deepEqual([removeAcceptEncoding, enablesResponses], [true, true]);
    assert.deepEqual(issuesOf(decodeCompressorPerRoute, {}), ["error : one of disabled, overrides is required"]);
  });
});

suite("decompressor", () => {
  test("takes both directions and tells upstreams, unless told otherwise", () => {
    const {
      library: lib,
      request,
      response,
      advertise,
    } = accepted(decodeDecompressor, { decompressor_library: library("gzip", "decompressor") });
    assert.deepEqual(lib.settings, { coding: "gzip", windowBits: 15, maxRatio: 100 });
    assert.deepEqual([request.enabled, response.enabled, advertise], [true, true, true]);
  });

  test("a library of the other way is none", () =>
    assert.equal(issuesOf(decodeDecompressor, { decompressor_library: library("gzip", "compressor") }).length, 1));
});

test("grpc_web has nothing to set", () => assert.deepEqual(issuesOf(decodeGrpcWeb, {}), []));

suite("rate limit", () => {
  const service = { transport_api_version: "V3", grpc_service: { envoy_grpc: { cluster_name: "limits" }, timeout: "9s" } };
  const base = { domain: "d", rate_limit_service: service };
  test("asks within 20 ms and lets pass without an answer, unless told otherwise", () => {
    const config = accepted(decodeRateLimit, base);
    assert.deepEqual(config.service, { cluster: "limits", authority: "limits", timeoutMs: 20 });
    assert.deepEqual(
      [config.failureModeDeny, config.status, config.statusOnError, config.xEnvoyRateLimited, config.requestType],
      [false, 429, 500, true, "both"],
    );
  });

  for (const [title, fields, issues] of [
    ["without a domain", { domain: "" }, ["error domain: must not be empty"]],
    ["with a stage beyond the last", { stage: 11 }, ["error stage: the last stage is 10"]],
    ["with a type that is none", { request_type: "all" }, ["error request_type: expected internal, external or both"]],
  ] as const) {
    test(`is refused ${title}`, () => assert.deepEqual(issuesOf(decodeRateLimit, { ...base, ...fields }), issues));
  }

  test("a status that is no error is the usual one", () =>
    assert.equal(accepted(decodeRateLimit, { ...base, rate_limited_status: { code: 200 } }).status, 429));

  for (const [fields, expected] of [
    [{}, "override"],
    [{ vh_rate_limits: "INCLUDE" }, "include"],
    [{ vh_rate_limits: "INCLUDE", override_option: "IGNORE_POLICY" }, "ignore"],
  ] as const) {
    test(`a route with ${JSON.stringify(fields)} says ${expected}`, () =>
      assert.equal(accepted(decodeRateLimitPerRoute, fields).virtualHost, expected));
  }

  for (const [title, json, issues] of [
    ["no action", { actions: [] }, ["error actions: must not be empty"]],
    ["an action that is none", { actions: [{}] }, [/^error actions\[0\]: one of /]],
    ["an extension", { actions: [{ extension: { name: "x" } }] }, [/not supported: descriptors by extension/]],
    [
      "address ranges without a value",
      { actions: [{ remote_address_match: { address_matcher: {} } }] },
      [/^error actions\[0\].remote_address_match.descriptor_value: required/],
    ],
  ] as const) {
    test(`a policy with ${title} is an error`, () => {
      const found = issuesOf(decodeRateLimitPolicy, json);
      assert.equal(found.length, issues.length, found.join("\n"));
      issues.forEach((issue, i) => (typeof issue === "string" ? assert.equal(found[i], issue) : assert.match(found[i]!, issue)));
    });
  }
});
