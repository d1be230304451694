import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { decodeAccessLogs, defaultAccessLogText } from "../../../src/envoy/access-log.ts";
import { accepted, any, issuesOf } from "./decoding.ts";

const file = "envoy.extensions.access_loggers.file.v3.FileAccessLog";
const log = (fields: object, filter?: object): object[] => [
  { name: "l", ...(filter && { filter }), typed_config: any(file, { path: "/tmp/l", ...fields }) },
];
const value = (default_value: number): object => ({ value: { default_value, runtime_key: "k" } });

suite("decodeAccessLogs", () => {
  for (const [title, fields, format] of [
    ["Envoy's text without a format", {}, { kind: "text", text: defaultAccessLogText }],
    ["a text format", { log_format: { text_format_source: { inline_string: "%DURATION%\n" } } }, { kind: "text", text: "%DURATION%\n" }],
    ["the deprecated text format", { format: "x" }, { kind: "text", text: "x" }],
    [
      "a JSON format, nested",
      { log_format: { json_format: { a: "%DURATION%", b: { c: ["x", 1, true, null] } } } },
      { kind: "json", json: { a: "%DURATION%", b: { c: ["x", 1, true, null] } } },
    ],
  ] as const) {
    test(`writes ${title}`, () =>
      assert.deepEqual(accepted(decodeAccessLogs, log(fields))[0], { path: "/tmp/l", format, omitEmptyValues: false }));
  }

  for (const [type, path] of [
    ["StdoutAccessLog", "/dev/stdout"],
    ["StderrAccessLog", "/dev/stderr"],
  ] as const) {
    test(`writes to ${path} for ${type}`, () => {
      const [decoded] = accepted(decodeAccessLogs, [
        {
          typed_config: any(`envoy.extensions.access_loggers.stream.v3.${type}`, {
            log_format: { text_format: "x", omit_empty_values: true },
          }),
        },
      ]);
      assert.deepEqual(decoded, { path, format: { kind: "text", text: "x" }, omitEmptyValues: true });
    });
  }

  test("reads filters and their combinations", () => {
    const filter = {
      and_filter: {
        filters: [
          { status_code_filter: { comparison: { op: "GE", ...value(400) } } },
          {
            or_filter: {
              filters: [{ duration_filter: { comparison: { op: "LE", ...value(5) } } }, { response_flag_filter: { flags: ["UF", "NR"] } }],
            },
          },
          { not_health_check_filter: {} },
        ],
      },
    };
    assert.deepEqual(accepted(decodeAccessLogs, log({}, filter))[0]?.filter, {
      kind: "and",
      filters: [
        { kind: "status_code", op: "GE", value: 400 },
        {
          kind: "or",
          filters: [
            { kind: "duration", op: "LE", value: 5 },
            { kind: "response_flag", flags: ["UF", "NR"] },
          ],
        },
        { kind: "not_health_check" },
      ],
    });
  });

  test("leaves out loggers it has no way to write to, and says so", () => {
    const grpc = [{ name: "g", typed_config: any("envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig") }];
    assert.deepEqual(issuesOf(decodeAccessLogs, grpc), [
      "warning [0].typed_config: envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig is not honoured: only file, stdout and stderr logs are",
    ]);
  });

  test("lets every record pass a filter that it cannot evaluate, and says so", () => {
    assert.deepEqual(issuesOf(decodeAccessLogs, log({}, { runtime_filter: { runtime_key: "x" } })), [
      "warning [0].filter.runtime_filter: is not honoured: every record passes",
    ]);
  });

  for (const [title, json, expected] of [
    [
      "a response flag that there is not",
      log({}, { response_flag_filter: { flags: ["XX"] } }),
      ['error [0].filter.response_flag_filter.flags[0]: not a response flag: "XX"'],
    ],
    ["a file without a path", [{ typed_config: any(file) }], ["error [0].typed_config.path: required, but not given"]],
    ["two formats", log({ format: "x", json_format: {} }), ["error [0].typed_config.json_format: give either this or format, not both"]],
  ] as const) {
    test(`reports ${title}`, () => assert.deepEqual(issuesOf(decodeAccessLogs, json), expected));
  }
});
