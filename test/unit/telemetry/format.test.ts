// Command operators, with the values Envoy 1.40 prints for the same streams.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { compileFormat } from "../../../src/telemetry/format.ts";
import type { FormatOptions } from "../../../src/telemetry/format.ts";
import { flag } from "../../../src/telemetry/response-flag.ts";
import { ConnectionInfo, StreamInfo } from "../../../src/telemetry/stream-info.ts";
import { HeaderMap } from "../../../src/wire/header-map.ts";
import { httpStream, peer } from "./streams.ts";

function format(text: string, info: StreamInfo, options: FormatOptions = {}): string {
  const compiled = compileFormat(text, { environment: { HOME: "/home" }, hostname: "vm", ...options });
  assert.ok(compiled.ok, JSON.stringify(compiled.issues));
  return compiled.value(info);
}

suite("operators of a request", () => {
  for (const [text, expected] of [
    ["%START_TIME%", "2026-11-21T09:50:36.389Z"],
    ["%START_TIME(%s.%3f)%", "1795254636.389"],
    ["%START_TIME(%Y/%m/%dT%H:%M:%S.%6f %Z)%", "2026/11/21T09:50:36.389000 UTC"],
    ["%START_TIME(%d/%b/%Y:%T %z)%", "21/Nov/2026:09:50:36 +0000"],
    ["%REQ(:METHOD)% %REQ(:PATH)% %REQ(:AUTHORITY)% %REQ(:scheme)% %REQ(HOST)%", "GET /d?a=1&b=x%20y lab http lab"],
    ["%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/original"],
    ["%REQ(X-C)% [%REQ(X-C):3%] [%REQ(X-EMPTY)%] %REQ(X-NONE)% %REQ(x-none?x-c)%", 'a"b\\c [a"b] [] - a"b\\c'],
    ["%RESP(:STATUS)% %RESP(x-r)% %TRAILER(grpc-status)% %TRAILER(none)%", "200 r 5 -"],
    [
      "%PROTOCOL% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%",
      "HTTP/1.1 200 via_upstream_x via upstream x",
    ],
    ["%RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%", "URX,UF UpstreamRetryLimitExceeded,UpstreamConnectionFailure"],
    ["%BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_REQUEST_ATTEMPT_COUNT%", "5 272 2"],
    ["%DURATION% %REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%", "17 2 11 5"],
    ["%COMMON_DURATION(DS_RX_BEG:US_TX_BEG)% %COMMON_DURATION(US_RX_BEG:US_RX_END:us)%", "4 500"],
    ["%UPSTREAM_HOST% %UPSTREAM_CLUSTER% %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS%", "127.0.0.1:18080 a a 127.0.0.1:4"],
    ["%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT%", "127.0.0.1 18080"],
    ["%UPSTREAM_TRANSPORT_FAILURE_REASON%", "delayed_connect_error:_Connection_refused"],
    ["%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_LOCAL_PORT%", "10.0.0.1:80 10.0.0.1 80"],
    ["%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "[2001:db8::1]:555 2001:db8::1"],
    ["%DOWNSTREAM_DIRECT_REMOTE_ADDRESS% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", "192.0.2.9:4444 192.0.2.9"],
    ["%REQUESTED_SERVER_NAME% %ROUTE_NAME% %VIRTUAL_HOST_NAME% %CONNECTION_ID% %STREAM_ID%", "a.example.com rest all 7 id-1"],
    ["%HOSTNAME% %ENVIRONMENT(HOME)% %ENVIRONMENT(NONE)% 100%%", "vm /home - 100%"],
    ["%DYNAMIC_METADATA(a:b)% %DYNAMIC_METADATA(a:o)% %DYNAMIC_METADATA(a:o:n):1% %DYNAMIC_METADATA(x:y)%", 'v {"n":12} 1 -'],
    ["%FILTER_STATE(k)% %FILTER_STATE(k:PLAIN)% %FILTER_STATE(none)%", "s s -"],
    ["%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%", "NotFound NOT_FOUND 5 5"],
    ["%PATH(NQ)% %PATH(WQ:PATH)% %QUERY_PARAM(b)% %QUERY_PARAM(z)%", "/original /d?a=1&b=x%20y x y -"],
    ["%QUERY_PARAMS% %QUERY_PARAMS(ORIG)% %UPSTREAM_METADATA(x:y)%", "a=1&b=x%20y a=1&b=x%20y -"],
    ["%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_PEER_DNS_SAN% %DOWNSTREAM_PEER_SUBJECT%", "spiffe://a,spiffe://b client.lab O=lab,CN=client"],
    ["%DOWNSTREAM_PEER_CERT_V_START% %DOWNSTREAM_PEER_CERT_V_END(%Y-%m-%d)%", "2026-11-21T09:50:36.389Z 2026-11-22"],
    ["%DOWNSTREAM_PEER_IP_SAN% %DOWNSTREAM_PEER_EMAIL_SAN% %DOWNSTREAM_LOCAL_IP_SAN%", "192.0.2.1 me@lab -"],
    ["%DOWNSTREAM_PEER_FINGERPRINT_1% %DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256% %DOWNSTREAM_PEER_CHAIN_SERIALS%", "5a1 abc,def 1f,2f"],
    ["%DOWNSTREAM_PEER_ISSUER_SERIAL% %DOWNSTREAM_TLS_SESSION_ID% %DOWNSTREAM_LOCAL_URI_SAN%", "2f 0102 spiffe://me"],
    ["%DOWNSTREAM_PEER_ISSUER% %DOWNSTREAM_PEER_SERIAL% %DOWNSTREAM_PEER_FINGERPRINT_256%", "O=lab-ca 1f abc"],
    ["%DOWNSTREAM_PEER_CERT%", "-----BEGIN%20CERTIFICATE-----%0Aa%2Bb%2Fc%3D%0A"],
    [
      "%DOWNSTREAM_LOCAL_URI_SAN% %DOWNSTREAM_LOCAL_SUBJECT% %DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER%",
      "spiffe://me CN=me TLSv1.3 TLS_AES_128_GCM_SHA256",
    ],
    ["%UPSTREAM_PEER_URI_SAN% %UPSTREAM_PROTOCOL%", "- HTTP/1.1"],
    ["%CONNECTION_TERMINATION_DETAILS% %DOWNSTREAM_TRANSPORT_FAILURE_REASON%", "- -"],
  ] as const) {
    test(text, () => assert.equal(format(text, httpStream()), expected));
  }

  test("missing values are empty in header values", () => {
    assert.equal(
      format("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %REQ(:METHOD)% %REQ(x-none)% 100%%", httpStream(), { missing: "" }),
      "2001:db8::1 GET  100%",
    );
  });
});

suite("operators of a TCP connection", () => {
  test("prints what Envoy prints for a refused upstream, flags in their TCP order", () => {
    const info = new StreamInfo(new ConnectionInfo(1, 0, 1, { ip: "127.0.0.1", port: 1 }, { ip: "127.0.0.1", port: 2 }), 0, 1);
    info.flags = flag.UF | flag.URX;
    info.endMs = 2;
    assert.equal(
      format(
        '"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %DURATION% %RESPONSE_DURATION% "%UPSTREAM_HOST%"',
        info,
      ),
      '"- - -" 0 UF,URX - 1 - "-"',
    );
  });
});

suite("what a peer chose cannot break a record", () => {
  for (const [what, change, text, expected] of [
    ["a server name", (i: StreamInfo) => (i.connection.serverName = 'a"\n b'), "%REQUESTED_SERVER_NAME%", "invalid:a___b"],
    [
      "a mesh server name stays readable",
      (i: StreamInfo) => (i.connection.serverName = "outbound_.80_._.a.b"),
      "%REQUESTED_SERVER_NAME%",
      "outbound_.80_._.a.b",
    ],
    [
      "a certificate's subject",
      (i: StreamInfo) => (i.connection.tls = { ...peer, subject: "CN=a\nb" }),
      "%DOWNSTREAM_PEER_SUBJECT%",
      "CN=a\\nb",
    ],
    [
      "a failure reason",
      (i: StreamInfo) => (i.upstreamTransportFailureReason = "TLS error:\r\n\x01é"),
      "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
      "TLS_error:\\r\\n\\x01\xc3\xa9",
    ],
    [
      "metadata",
      (i: StreamInfo) => (i.dynamicMetadata = new Map([["jwt", { sub: "a\nbĊ" }]])),
      "%DYNAMIC_METADATA(jwt:sub)%",
      "a\\nb\xc4\x8a",
    ],
    [
      "nested metadata",
      (i: StreamInfo) => (i.dynamicMetadata = new Map([["jwt", { sub: "a\nb" }]])),
      "%DYNAMIC_METADATA(jwt)%",
      '{"sub":"a\\nb"}',
    ],
  ] as const) {
    test(what, () => {
      const info = httpStream();
      change(info);
      assert.equal(format(text, info), expected);
    });
  }

  test("text of the format itself is written as UTF-8 bytes", () => {
    assert.equal(format("é%PROTOCOL%", httpStream()), "\xc3\xa9HTTP/1.1");
  });
});

suite("formats that are refused", () => {
  for (const [text, message] of [
    ["%NOPE%", /unknown command operator %NOPE%/],
    ["%toString%", /expected a command operator/],
    ["100%", /character 3 \(write %%/],
    ["a %REQ(x%", /character 2/],
    ["%REQ()%", /header name/],
    ["%REQ(a?b?c)%", /header name/],
    ["%PROTOCOL(x)%", /takes no argument/],
    ["%START_TIME(%Q)%", /unknown date specifier %Q/],
    ["%COMMON_DURATION(A:B)%", /DS_RX_BEG/],
    ["%DYNAMIC_METADATA%", /namespace/],
    ["%ENVIRONMENT%", /environment variable/],
    ["%GRPC_STATUS(X)%", /CAMEL_STRING/],
    ["%PATH(X)%", /WQ or NQ/],
    ["%RESPONSE_CODE_DETAILS(X)%", /ALLOW_WHITESPACES/],
    ["x".repeat(65_537), /longer than/],
  ] as const) {
    test(text.slice(0, 30), () => {
      const compiled = compileFormat(text);
      assert.equal(compiled.ok, false);
      assert.match(compiled.issues[0]?.message ?? "", message);
    });
  }

  test("operators of Envoy that are not measured here are accepted with a warning", () => {
    const compiled = compileFormat("%TRACE_ID% %UPSTREAM_WIRE_BYTES_SENT%");
    assert.ok(compiled.ok);
    assert.equal(compiled.value(httpStream()), "- -");
    assert.deepEqual(
      compiled.issues.map(({ severity }) => severity),
      ["warning", "warning"],
    );
  });

  test("never throws, whatever the format", () => {
    // A linear congruential generator: the same formats in every run.
    let seed = 42;
    const next = (below: number): number => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % below;
    const pieces = ["%", "%%", "REQ", "(", ")", ":3", "%REQ(a)%", "%START_TIME(%H)%", "?", "x", "%PROTOCOL", "\n", "é", "%PATH(NQ:ORIG)%"];
    for (let i = 0; i < 2000; i++) {
      const text = Array.from({ length: next(8) }, () => pieces[next(pieces.length)]).join("");
      const compiled = compileFormat(text);
      if (compiled.ok) assert.equal(typeof compiled.value(httpStream()), "string");
      else assert.ok(compiled.issues.length > 0);
    }
  });
});

suite("header bytes", () => {
  test("are counted as names and values", () => {
    const info = httpStream();
    info.responseHeaders = new HeaderMap();
    info.responseHeaders.add("ab", "cde");
    assert.equal(format("%RESPONSE_HEADERS_BYTES%", info), "5");
  });
});
