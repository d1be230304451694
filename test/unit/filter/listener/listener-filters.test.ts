// The listener filters: what they learn of a connection, what they count, when they give up.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { httpInspector } from "../../../../src/filter/listener/http-inspector/http-inspector.ts";
import { originalDst } from "../../../../src/filter/listener/original-dst/original-dst.ts";
import { proxyProtocol } from "../../../../src/filter/listener/proxy-protocol/proxy-protocol.ts";
import { tlsInspector } from "../../../../src/filter/listener/tls-inspector/tls-inspector.ts";
import type { ListenerFilter, ListenerFilterSpec } from "../../../../src/filter/filter.ts";
import type { Logger } from "../../../../src/telemetry/logger.ts";
import { alpnExtension, extension, helloMessage, records, serverNameExtension } from "../../../support/client-hello.ts";
import { connectionInfo } from "../../../support/listener-models.ts";
import { recordingStats } from "../../../support/recording-stats.ts";
import type { RecordingStats } from "../../../support/recording-stats.ts";

const silent: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {}, child: () => silent };

function create(spec: ListenerFilterSpec, config: unknown = {}): { readonly filter: ListenerFilter; readonly stats: RecordingStats } {
  const stats = recordingStats();
  return { filter: spec.create(config, { stats, logger: silent }), stats };
}

const proxyConfig = { allowRequestsWithoutProxyProtocol: false, disallowedVersions: [], statPrefix: "" };
const v1 = Buffer.from("PROXY TCP4 198.51.100.7 203.0.113.1 5000 443\r\n");

suite("tls_inspector", () => {
  test("fills in transport protocol, server name and ALPN", () => {
    const { filter, stats } = create(tlsInspector);
    const info = connectionInfo();
    const bytes = records(helloMessage([serverNameExtension("A.test"), alpnExtension("istio", "h2")]));
    assert.deepEqual(filter.inspect(info, bytes.subarray(0, 20), -1), { kind: "needMore" });
    assert.deepEqual(filter.inspect(info, bytes, -1), { kind: "continue", consumed: 0 });
    assert.deepEqual([info.transportProtocol, info.serverName, info.applicationProtocols], ["tls", "a.test", ["istio", "h2"]]);
    assert.deepEqual(
      ["tls_found", "sni_found", "alpn_found", "tls_not_found"].map((name) => stats.value(`tls_inspector.${name}`)),
      [1, 1, 1, 0],
    );
  });

  test("counts a hello that names nothing", () => {
    const { filter, stats } = create(tlsInspector);
    filter.inspect(connectionInfo(), records(helloMessage([])), -1);
    assert.deepEqual(
      ["tls_found", "sni_not_found", "alpn_not_found"].map((name) => stats.value(`tls_inspector.${name}`)),
      [1, 1, 1],
    );
  });

  for (const [title, bytes] of [
    ["plaintext", Buffer.from("GET /")],
    ["a broken hello", Buffer.from([22, 3, 1, 0, 0])],
  ] as const) {
    test(`lets ${title} pass as it is`, () => {
      const { filter, stats } = create(tlsInspector);
      const info = connectionInfo();
      assert.deepEqual(filter.inspect(info, bytes, -1), { kind: "continue", consumed: 0 });
      assert.deepEqual([info.transportProtocol, stats.value("tls_inspector.tls_not_found")], ["", 1]);
    });
  }

  test("closes when a hello passes 16 KiB", () => {
    const { filter, stats } = create(tlsInspector);
    const bytes = records(helloMessage([extension(21, Buffer.alloc(20_000))]));
    assert.deepEqual(filter.inspect(connectionInfo(), bytes.subarray(0, 16 * 1024 - 1), -1), { kind: "needMore" });
    assert.deepEqual(filter.inspect(connectionInfo(), bytes.subarray(0, 16 * 1024), -1), {
      kind: "close",
      details: "client_hello_too_large",
    });
    assert.equal(stats.value("tls_inspector.client_hello_too_large"), 1);
  });
});

suite("http_inspector", () => {
  for (const [text, expected, stat] of [
    ["GET / HTTP/1.1\r\n", ["http/1.1"], "http11_found"],
    ["GET / HTTP/1.0\r\n", ["http/1.0"], "http10_found"],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ["h2c"], "http2_found"],
    ["hello\r\n", [], "http_not_found"],
  ] as const) {
    test(`${JSON.stringify(text)} gives ${JSON.stringify(expected)}`, () => {
      const { filter, stats } = create(httpInspector);
      const info = connectionInfo();
      assert.equal(filter.inspect(info, Buffer.from(text), -1).kind, "continue");
      assert.deepEqual(info.applicationProtocols, expected);
      assert.equal(stats.value(`http_inspector.${stat}`), 1);
    });
  }

  test("waits for a request line, up to 64 KiB", () => {
    const { filter } = create(httpInspector);
    const bytes = Buffer.from(`GET /${"a".repeat(70_000)}`);
    assert.equal(filter.inspect(connectionInfo(), bytes.subarray(0, 65_535), -1).kind, "needMore");
    assert.equal(filter.inspect(connectionInfo(), bytes, -1).kind, "continue");
  });

  test("leaves the ALPN of a TLS connection alone", () => {
    const { filter } = create(httpInspector);
    const info = connectionInfo({ transportProtocol: "tls", applicationProtocols: ["h2"] });
    assert.equal(filter.inspect(info, Buffer.from([22]), -1).kind, "continue");
    assert.deepEqual(info.applicationProtocols, ["h2"]);
  });
});

suite("proxy_protocol", () => {
  test("replaces the peer and drops the header, but never the direct peer", () => {
    const { filter, stats } = create(proxyProtocol, proxyConfig);
    const info = connectionInfo({ remote: "10.0.0.9:1" });
    assert.deepEqual(filter.inspect(info, Buffer.concat([v1, Buffer.from("rest")]), -1), { kind: "continue", consumed: v1.length });
    assert.deepEqual(
      [info.remote, info.local, info.localRestored],
      [{ ip: "198.51.100.7", port: 5000 }, { ip: "203.0.113.1", port: 443 }, true],
    );
    assert.deepEqual(info.directRemote, { ip: "10.0.0.9", port: 1 });
    assert.equal(stats.value("proxy_proto.versions.v1.found"), 1);
  });

  test("LOCAL keeps the real peer", () => {
    const { filter } = create(proxyProtocol, proxyConfig);
    const info = connectionInfo({ remote: "10.0.0.9:1" });
    const header = Buffer.from("0d0a0d0a000d0a515549540a2011000c0a0000010a0000021f900050", "hex");
    assert.deepEqual(filter.inspect(info, header, -1), { kind: "continue", consumed: 28 });
    assert.deepEqual([info.remote.ip, info.localRestored], ["10.0.0.9", false]);
  });

  test("refuses a connection without header, a broken one, and a version that is not wanted", () => {
    const strict = create(proxyProtocol, { ...proxyConfig, disallowedVersions: ["V1"] });
    for (const bytes of [Buffer.from("GET / HTTP/1.1\r\n"), Buffer.from("PROXY TCP4 x\r\n"), v1]) {
      assert.deepEqual(strict.filter.inspect(connectionInfo(), bytes, -1), { kind: "close", details: "proxy_protocol_error" });
    }
    assert.deepEqual(
      ["not_found_disallowed", "versions.v1.error", "versions.v1.disallowed"].map((name) => strict.stats.value(`proxy_proto.${name}`)),
      [1, 1, 1],
    );
  });

  test("lets a connection without header pass where that is allowed", () => {
    const { filter, stats } = create(proxyProtocol, { ...proxyConfig, allowRequestsWithoutProxyProtocol: true });
    assert.deepEqual(filter.inspect(connectionInfo(), Buffer.from("GET /"), -1), { kind: "continue", consumed: 0 });
    assert.equal(stats.value("proxy_proto.not_found_allowed"), 1);
  });
});

suite("original_dst", () => {
  test("changes nothing where the kernel knows no redirect", () => {
    const { filter } = create(originalDst);
    const info = connectionInfo();
    assert.equal(filter.needsBytes, false);
    assert.deepEqual(filter.inspect(info, Buffer.alloc(0), -1), { kind: "continue", consumed: 0 });
    assert.equal(info.localRestored, false);
  });
});
