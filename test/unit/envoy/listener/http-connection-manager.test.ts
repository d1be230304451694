import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { decodeHttpConnectionManager } from "../../../../src/envoy/listener/http-connection-manager-decoder.ts";
import { accepted, any, issuesOf } from "../decoding.ts";

const base = { stat_prefix: "h", rds: { route_config_name: "r" } };

suite("decodeHttpConnectionManager", () => {
  test("fills in Envoy's defaults", () => {
    const value = accepted(decodeHttpConnectionManager, base);
    assert.deepEqual(value.routes, { kind: "rds", name: "r" });
    assert.deepEqual(
      {
        codec: value.codecType,
        idle: value.idleTimeoutMs,
        streamIdle: value.streamIdleTimeoutMs,
        drain: value.drainTimeoutMs,
        close: value.delayedCloseTimeoutMs,
        kb: value.maxRequestHeadersKb,
        headers: value.maxHeadersCount,
        server: value.serverName,
        ids: value.generateRequestId,
        absolute: value.allowAbsoluteUrl,
        port: value.stripPort,
      },
      {
        codec: "AUTO",
        idle: 3_600_000,
        streamIdle: 300_000,
        drain: 5000,
        close: 1000,
        kb: 60,
        headers: 100,
        server: "envoy",
        ids: true,
        absolute: true,
        port: "none",
      },
    );
  });

  test("reads limits and timeouts from the common protocol options", () => {
    const value = accepted(decodeHttpConnectionManager, {
      ...base,
      common_http_protocol_options: {
        idle_timeout: "1s",
        max_headers_count: 20,
        max_requests_per_connection: 3,
        max_stream_duration: "2s",
        headers_with_underscores_action: "REJECT_REQUEST",
      },
    });
    assert.deepEqual(
      [value.idleTimeoutMs, value.maxHeadersCount, value.maxRequestsPerConnection, value.maxStreamDurationMs, value.headersWithUnderscores],
      [1000, 20, 3, 2000, "REJECT_REQUEST"],
    );
  });

  test("reads HTTP/1 options", () => {
    const value = accepted(decodeHttpConnectionManager, {
      ...base,
      http_protocol_options: {
        accept_http_10: true,
        default_host_for_http_10: "h",
        header_key_format: { proper_case_words: {} },
        enable_trailers: true,
      },
    });
    assert.deepEqual(
      [value.acceptHttp10, value.defaultHostForHttp10, value.properCaseHeaders, value.enableTrailers],
      [true, "h", true, true],
    );
  });

  test("reads upgrades by type in lower case, enabled unless said otherwise", () => {
    const upgrades = accepted(decodeHttpConnectionManager, {
      ...base,
      upgrade_configs: [{ upgrade_type: "WebSocket" }, { upgrade_type: "x", enabled: false }],
    }).upgrades;
    assert.deepEqual(upgrades, { websocket: true, x: false });
  });

  test("treats Envoy's own choice about escaped slashes as keeping them", () => {
    assert.equal(
      accepted(decodeHttpConnectionManager, { ...base, path_with_escaped_slashes_action: 0 }).escapedSlashesAction,
      "KEEP_UNCHANGED",
    );
  });

  test("takes UUID request ids without a word", () => {
    accepted(decodeHttpConnectionManager, {
      ...base,
      request_id_extension: { typed_config: any("envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig", { pack_trace_reason: false }) },
    });
  });

  for (const [title, fields, expected] of [
    ["HTTP/3", { codec_type: "HTTP3" }, ["error codec_type: not supported: HTTP/3"]],
    ["scoped routes", { rds: undefined, scoped_routes: { name: "s" } }, ["error scoped_routes: not supported: scoped routes"]],
    ["two sources of routes", { route_config: {} }, ["error rds: give either this or route_config, not both"]],
    [
      "both ways to strip ports",
      { strip_any_host_port: true, strip_matching_host_port: true },
      ["error strip_any_host_port: give either this or strip_matching_host_port, not both"],
    ],
    [
      "another way to find the client's address",
      { original_ip_detection_extensions: [{}] },
      ["error original_ip_detection_extensions: not supported: finding the client's address by extension"],
    ],
    [
      "a header limit beyond Envoy's",
      { max_request_headers_kb: 9000 },
      ["error max_request_headers_kb: expected a number from 1 to 8192, got 9000"],
    ],
    ["tracing, as a warning", { tracing: {} }, ["warning tracing: is not honoured"]],
  ] as const) {
    test(`reports ${title}`, () => assert.deepEqual(issuesOf(decodeHttpConnectionManager, { ...base, ...fields }), expected));
  }
});
