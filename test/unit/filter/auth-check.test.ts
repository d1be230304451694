// The authorization messages against somebody else's codec, and against bytes that are none.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { decodeCheckResponse, encodeCheckRequest } from "../../../src/filter/auth-check.ts";
import { ConnectionInfo } from "../../../src/telemetry/stream-info.ts";
import { checkRequestType, checkResponseType } from "../../support/auth-server.ts";

const encode = (value: object): Buffer => Buffer.from(checkResponseType.encode(checkResponseType.fromObject(value)).finish());

suite("authorization messages", () => {
  test("a question is read as it was meant", () => {
    const connection = new ConnectionInfo(1, 0, 0, { ip: "10.0.0.1", port: 4000 }, { ip: "2001:db8::1", port: 80 });
    const bytes = encodeCheckRequest(connection, 1_700_000_000_250, {
      id: "7",
      method: "GET",
      headers: new Map([["x-a", "b"]]),
      path: "/p?q",
      host: "h",
      scheme: "http",
      size: 3,
      protocol: "HTTP/1.1",
      body: Buffer.from("abc"),
      rawBody: false,
      contextExtensions: { b: "2", a: "1" },
    });
    assert.deepEqual(checkRequestType.toObject(checkRequestType.decode(bytes), { longs: Number }), {
      attributes: {
        source: { address: { socket_address: { address: "10.0.0.1", port_value: 4000 } } },
        destination: { address: { socket_address: { address: "2001:db8::1", port_value: 80 } } },
        context_extensions: { a: "1", b: "2" },
        request: {
          time: { seconds: 1_700_000_000, nanos: 250_000_000 },
          http: {
            id: "7",
            method: "GET",
            headers: { "x-a": "b" },
            path: "/p?q",
            host: "h",
            scheme: "http",
            size: 3,
            protocol: "HTTP/1.1",
            body: "abc",
          },
        },
      },
    });
  });

  for (const [title, value, expected] of [
    ["an empty allowance", { status: {} }, { kind: "allowed", headers: [], headersToRemove: [], responseHeaders: [], metadata: undefined }],
    [
      "metadata of every kind",
      {
        status: { code: 0 },
        dynamic_metadata: {
          fields: {
            text: { string_value: "a" },
            number: { number_value: 1.5 },
            yes: { bool_value: true },
            list: { list_value: { values: [{ string_value: "x" }, { null_value: 0 }] } },
            deep: { struct_value: { fields: { inner: { string_value: "b" } } } },
          },
        },
      },
      {
        kind: "allowed",
        headers: [],
        headersToRemove: [],
        responseHeaders: [],
        metadata: { text: "a", number: 1.5, yes: true, list: ["x", null], deep: { inner: "b" } },
      },
    ],
    ["a bare refusal", { status: { code: 7 } }, { kind: "denied", status: 403, headers: [], body: "", metadata: undefined }],
    [
      "a refusal with a status that is none",
      { status: { code: 7 }, denied_response: { status: { code: 42 }, body: "no" } },
      { kind: "denied", status: 403, headers: [], body: "no", metadata: undefined },
    ],
  ] as const) {
    test(`${title} is understood`, () => assert.deepEqual(decodeCheckResponse(encode(value)), expected));
  }

  test("an answer without a status allows, as an absent message is its defaults", () => {
    assert.equal(decodeCheckResponse(Buffer.alloc(0))?.kind, "allowed");
  });

  test("bytes that are no message are no answer, whatever they are", () => {
    const whole = encode({
      status: { code: 7 },
      denied_response: { status: { code: 401 }, body: "x", headers: [{ header: { key: "a", value: "b" } }] },
    });
    let state = 7;
    const random = (limit: number): number => {
      state = (state * 1_103_515_245 + 12_345) & 0x7fffffff;
      return state % limit;
    };
    for (let i = 0; i < 5000; i++) {
      const bytes = Buffer.from(whole);
      for (let n = random(4); n >= 0; n--) bytes[random(bytes.length)] = random(256);
      const answer = decodeCheckResponse(bytes.subarray(0, random(bytes.length + 1)));
      if (answer?.kind === "denied") assert.ok(answer.status >= 200 && answer.status <= 599);
    }
    assert.equal(decodeCheckResponse(Buffer.from([0xff])), undefined);
    assert.equal(decodeCheckResponse(Buffer.from([0x0a, 0x05, 0x08])), undefined);
  });
});
