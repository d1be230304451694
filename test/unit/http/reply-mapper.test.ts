// local_reply_config as a function: which mapper counts, and what becomes of status, body and content type.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { decodeLocalReplyConfig } from "../../../src/envoy/listener/local-reply-config.ts";
import { compileReplyMapper, type MappedReply } from "../../../src/http/reply-mapper.ts";
import { ConnectionInfo, StreamInfo } from "../../../src/telemetry/stream-info.ts";
import { HeaderMap } from "../../../src/wire/header-map.ts";
import { accepted, issuesOf } from "../envoy/decoding.ts";

const status = (value: number): object => ({
  status_code_filter: { comparison: { op: "EQ", value: { default_value: value, runtime_key: "k" } } },
});

function map(config: object, given: number, body: string, headers = new HeaderMap()): MappedReply {
  const mapper = compileReplyMapper(accepted(decodeLocalReplyConfig, config)) ?? assert.fail("nothing to map");
  return mapper(new StreamInfo(new ConnectionInfo(1, 0, 0, { ip: "", port: 0 }, { ip: "", port: 0 }), 0, 0), given, body, headers);
}

suite("local replies", () => {
  test("stay as they are without mappers and formats", () => {
    assert.equal(compileReplyMapper(undefined), undefined);
    assert.equal(compileReplyMapper(accepted(decodeLocalReplyConfig, {})), undefined);
  });

  test("a reply that no mapper matches gets the common format, with its own status", () => {
    const config = {
      body_format: { text_format: "%LOCAL_REPLY_BODY% %RESPONSE_CODE%" },
      mappers: [{ filter: status(404), status_code: 200 }],
    };
    assert.deepEqual(map(config, 503, "x"), { status: 503, body: "x 503", message: "x 503", contentType: "text/plain" });
  });

  test("the first mapper that matches counts, and formats see its status", () => {
    const mappers = [
      { filter: status(404), status_code: 200, body: { inline_string: "%RESPONSE_CODE%" } },
      { filter: status(404), status_code: 201 },
    ];
    const mapped = map({ body_format: { text_format: "%LOCAL_REPLY_BODY% %RESPONSE_CODE%" }, mappers }, 404, "x");
    assert.deepEqual([mapped.status, mapped.body], [200, "%RESPONSE_CODE% 200"]);
  });

  test("JSON is told to gRPC clients without its line end, unless it has another type", () => {
    const json = map({ body_format: { json_format: { b: "%LOCAL_REPLY_BODY%" } } }, 503, 'a"b');
    assert.deepEqual(json, { status: 503, body: '{"b":"a\\"b"}\n', message: '{"b":"a\\"b"}', contentType: "application/json" });
    const typed = map({ body_format: { json_format: { b: "1" }, content_type: "application/problem+json" } }, 503, "");
    assert.deepEqual([typed.message, typed.contentType], ['{"b":"1"}\n', "application/problem+json"]);
  });

  test("a content type that a mapper adds stays", () => {
    const headers = new HeaderMap();
    const mapper = { filter: status(503), headers_to_add: [{ header: { key: "content-type", value: "text/x" } }] };
    assert.equal(map({ body_format: { text_format: "y" }, mappers: [mapper] }, 503, "x", headers).contentType, undefined);
    assert.equal(headers.get("content-type"), "text/x");
  });

  test("filters that are not honoured are errors, wherever they stand", () => {
    const filter = { or_filter: { filters: [status(404), { grpc_status_filter: {} }] } };
    assert.deepEqual(issuesOf(decodeLocalReplyConfig, { mappers: [{ filter }] }), [
      "warning mappers[0].filter.or_filter.filters[1].grpc_status_filter: is not honoured: every record passes",
      "error mappers[0].filter: not supported where it decides over replies",
    ]);
    assert.deepEqual(issuesOf(decodeLocalReplyConfig, { mappers: [{}, { filter: status(1), status_code: 100 }] }).length, 2);
  });
});
