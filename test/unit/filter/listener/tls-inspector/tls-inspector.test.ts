// The TLS inspector: what it learns of a connection, what it counts, when it gives up.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { tlsInspector } from "../../../../../src/filter/listener/tls-inspector/tls-inspector.ts";
import { alpnExtension, extension, helloMessage, records, serverNameExtension } from "../../../../support/client-hello.ts";
import { createListenerFilter } from "../../../../support/listener-filters.ts";
import { connectionInfo } from "../../../../support/listener-models.ts";

suite("tls_inspector", () => {
  test("fills in transport protocol, server name and ALPN", () => {
    const { filter, stats } = createListenerFilter(tlsInspector);
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
    const { filter, stats } = createListenerFilter(tlsInspector);
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
      const { filter, stats } = createListenerFilter(tlsInspector);
      const info = connectionInfo();
      assert.deepEqual(filter.inspect(info, bytes, -1), { kind: "continue", consumed: 0 });
      assert.deepEqual([info.transportProtocol, stats.value("tls_inspector.tls_not_found")], ["", 1]);
    });
  }

  test("closes when a hello passes 16 KiB", () => {
    const { filter, stats } = createListenerFilter(tlsInspector);
    const bytes = records(helloMessage([extension(21, Buffer.alloc(20_000))]));
    assert.deepEqual(filter.inspect(connectionInfo(), bytes.subarray(0, 16 * 1024 - 1), -1), { kind: "needMore" });
    assert.deepEqual(filter.inspect(connectionInfo(), bytes.subarray(0, 16 * 1024), -1), {
      kind: "close",
      details: "client_hello_too_large",
    });
    assert.equal(stats.value("tls_inspector.client_hello_too_large"), 1);
  });
});
