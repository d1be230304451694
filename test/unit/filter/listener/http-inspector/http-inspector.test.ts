// The HTTP inspector: what it calls HTTP, and how long it waits to find out.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { httpInspector } from "../../../../../src/filter/listener/http-inspector/http-inspector.ts";
import { createListenerFilter } from "../../../../support/listener-filters.ts";
import { connectionInfo } from "../../../../support/listener-models.ts";

suite("http_inspector", () => {
  for (const [text, expected, stat] of [
    ["GET / HTTP/1.1\r\n", ["http/1.1"], "http11_found"],
    ["GET / HTTP/1.0\r\n", ["http/1.0"], "http10_found"],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ["h2c"], "http2_found"],
    ["hello\r\n", [], "http_not_found"],
  ] as const) {
    test(`${JSON.stringify(text)} gives ${JSON.stringify(expected)}`, () => {
      const { filter, stats } = createListenerFilter(httpInspector);
      const info = connectionInfo();
      assert.equal(filter.inspect(info, Buffer.from(text), -1).kind, "continue");
      assert.deepEqual(info.applicationProtocols, expected);
      assert.equal(stats.value(`http_inspector.${stat}`), 1);
    });
  }

  test("waits for a request line, up to 64 KiB", () => {
    const { filter } = createListenerFilter(httpInspector);
    const bytes = Buffer.from(`GET /${"a".repeat(70_000)}`);
    assert.equal(filter.inspect(connectionInfo(), bytes.subarray(0, 65_535), -1).kind, "needMore");
    assert.equal(filter.inspect(connectionInfo(), bytes, -1).kind, "continue");
  });

  test("leaves the ALPN of a TLS connection alone", () => {
    const { filter } = createListenerFilter(httpInspector);
    const info = connectionInfo({ transportProtocol: "tls", applicationProtocols: ["h2"] });
    assert.equal(filter.inspect(info, Buffer.from([22]), -1).kind, "continue");
    assert.deepEqual(info.applicationProtocols, ["h2"]);
  });
});
