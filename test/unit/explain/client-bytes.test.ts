// The first bytes that stand for a client are what the inspectors of the data path take them for.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { clientBytes, helloBytes } from "../../../src/explain/client-bytes.ts";
import { inspectClientHello } from "../../../src/wire/client-hello.ts";
import { sniffHttp } from "../../../src/wire/http-sniff.ts";

suite("client bytes", () => {
  for (const [serverName, alpn] of [
    ["outbound_.80_._.books.shop.svc.cluster.local", ["istio", "istio-peer-exchange"]],
    ["a.example", []],
    ["", ["h2"]],
    ["", []],
  ] as const) {
    test(`a hello with ${serverName || "no name"} and ${alpn.length} protocols is read back`, () => {
      const found = inspectClientHello(helloBytes(serverName, alpn));
      assert.deepEqual(found, { kind: "hello", alpn, ...(serverName === "" ? {} : { serverName }) });
    });
  }

  const question = { kind: "request", method: "GET", host: "books", port: 80, path: "/", headers: [] } as const;
  test("HTTP is HTTP, TCP is neither", () => {
    assert.equal(sniffHttp(clientBytes({ ...question, protocol: "http" })), "http/1.1");
    const tcp = clientBytes({ ...question, protocol: "tcp" });
    assert.equal(sniffHttp(tcp), "none");
    assert.equal(inspectClientHello(tcp).kind, "not-tls");
  });

  test("an address is no server name", () => {
    const found = inspectClientHello(clientBytes({ ...question, protocol: "tls", host: "10.0.0.1" }));
    assert.deepEqual(found, { kind: "hello", alpn: ["h2", "http/1.1"] });
  });
});
