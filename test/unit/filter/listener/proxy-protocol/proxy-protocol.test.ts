// The PROXY protocol filter: whose address counts, and who is refused.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { proxyProtocol } from "../../../../../src/filter/listener/proxy-protocol/proxy-protocol.ts";
import { createListenerFilter } from "../../../../support/listener-filters.ts";
import { connectionInfo } from "../../../../support/listener-models.ts";

const proxyConfig = { allowRequestsWithoutProxyProtocol: false, disallowedVersions: [], statPrefix: "" };
const v1 = Buffer.from("PROXY TCP4 198.51.100.7 203.0.113.1 5000 443\r\n");

suite("proxy_protocol", () => {
  test("replaces the peer and drops the header, but never the direct peer", () => {
    const { filter, stats } = createListenerFilter(proxyProtocol, proxyConfig);
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
    const { filter } = createListenerFilter(proxyProtocol, proxyConfig);
    const info = connectionInfo({ remote: "10.0.0.9:1" });
    const header = Buffer.from("0d0a0d0a000d0a515549540a2011000c0a0000010a0000021f900050", "hex");
    assert.deepEqual(filter.inspect(info, header, -1), { kind: "continue", consumed: 28 });
    assert.deepEqual([info.remote.ip, info.localRestored], ["10.0.0.9", false]);
  });

  test("refuses a connection without header, a broken one, and a version that is not wanted", () => {
    const strict = createListenerFilter(proxyProtocol, { ...proxyConfig, disallowedVersions: ["V1"] });
    for (const bytes of [Buffer.from("GET / HTTP/1.1\r\n"), Buffer.from("PROXY TCP4 x\r\n"), v1]) {
      assert.deepEqual(strict.filter.inspect(connectionInfo(), bytes, -1), { kind: "close", details: "proxy_protocol_error" });
    }
    assert.deepEqual(
      ["not_found_disallowed", "versions.v1.error", "versions.v1.disallowed"].map((name) => strict.stats.value(`proxy_proto.${name}`)),
      [1, 1, 1],
    );
  });

  test("lets a connection without header pass where that is allowed", () => {
    const { filter, stats } = createListenerFilter(proxyProtocol, { ...proxyConfig, allowRequestsWithoutProxyProtocol: true });
    assert.deepEqual(filter.inspect(connectionInfo(), Buffer.from("GET /"), -1), { kind: "continue", consumed: 0 });
    assert.equal(stats.value("proxy_proto.not_found_allowed"), 1);
  });
});
