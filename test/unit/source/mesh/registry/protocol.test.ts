import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { protocolOfPort } from "../../../../../src/source/mesh/registry/protocol.ts";

suite("port protocol", () => {
  for (const [name, port, appProtocol, protocol, expected] of [
    ["http", 80, "", "TCP", "HTTP"],
    ["http-web", 80, "", "TCP", "HTTP"],
    ["HTTP2", 80, "", "TCP", "HTTP2"],
    ["grpc-web-x", 80, "", "TCP", "GRPC-WEB"],
    ["grpc-api", 80, "", "TCP", "GRPC"],
    ["https", 443, "", "TCP", "HTTPS"],
    ["tls-db", 443, "", "TCP", "TLS"],
    ["mongo", 27017, "", "TCP", "MONGO"],
    ["", 80, "", "TCP", "AUTO"],
    ["web", 80, "", "TCP", "AUTO"],
    ["db", 3306, "", "TCP", "TCP"],
    ["mail", 25, "", "TCP", "TCP"],
    ["tcp", 80, "http", "TCP", "HTTP"],
    ["x", 80, "kubernetes.io/h2c", "TCP", "HTTP2"],
    ["x", 80, "kubernetes.io/wss", "TCP", "HTTPS"],
    ["http", 80, "", "UDP", "UDP"],
  ] as const) {
    test(`${name || "no name"}:${port} ${appProtocol} ${protocol} speaks ${expected}`, () => {
      assert.equal(protocolOfPort({ name, port, appProtocol, protocol }), expected);
    });
  }
});
