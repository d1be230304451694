// Why an east-west listener's chains took a connection not: what is said, and what is left as it is.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { FilterChainMatch } from "../../../src/envoy/listener/listener.ts";
import { compileSniDnat } from "../../../src/listener/sni-dnat.ts";
import { helloMessage, records, serverNameExtension } from "../../support/client-hello.ts";
import { connectionInfo, filterChain, filterConfig, listener } from "../../support/listener-models.ts";

const applicationProtocols = ["istio", "istio-h2"];
const listenerFilters = [filterConfig("envoy.filters.listener.tls_inspector")];
const named = (...serverNames: string[]): Partial<FilterChainMatch> => ({ serverNames, applicationProtocols });

function compiled(matches: readonly Partial<FilterChainMatch>[], inspected = true) {
  const chains = matches.map((match) => filterChain([], match));
  return compileSniDnat(listener("l", chains, { listenerFilters: inspected ? listenerFilters : [] }));
}

const tls = (serverName: string, ...alpn: string[]) => connectionInfo({ transportProtocol: "tls", serverName, applicationProtocols: alpn });

suite("reasons for a refusal by name", () => {
  const dnat = compiled([named("outbound_.80_._.a.test"), named("outbound_.80_.v1_.a.test"), named("outbound_.9000_._.b.test")])!;

  for (const [serverName, alpn, why] of [
    ["", ["istio"], "no_sni"],
    ["", [], "no_sni"],
    ["a.test", ["istio"], "malformed_sni"],
    ["outbound_.80_._.a.test.", ["istio"], "malformed_sni"],
    ["outbound_.80_._.c.test", ["istio"], "host_not_exported"],
    ["outbound_.9000_._.a.test", ["istio"], "unknown_port"],
    ["outbound_.80_.v1_.b.test", ["istio"], "unknown_port"],
    ["outbound_.80_.v2_.a.test", ["istio"], "unknown_subset"],
    ["outbound_.80_.v1_.a.test", ["h2", "http/1.1"], "no_mesh_alpn"],
    ["outbound_.80_._.a.test", [], "no_mesh_alpn"],
    // Name and protocol fit: something else of the chain did not.
    ["outbound_.80_._.a.test", ["h2", "istio-h2"], undefined],
  ] as const) {
    test(`${JSON.stringify(serverName)} with ALPN ${alpn.join(",") || "none"}: ${why ?? "nothing"}`, () => {
      assert.equal(dnat.whyNoChain(tls(serverName, ...alpn), Buffer.alloc(0)), why);
    });
  }

  for (const [title, read, why] of [
    ["plain text", Buffer.from("GET / HTTP/1.1\r\n"), "not_tls"],
    ["a record that is no hello", Buffer.from([22, 3, 1, 0, 0]), "not_tls"],
    ["an empty server name", records(helloMessage([serverNameExtension("")])), "malformed_sni"],
    ["a NUL in the server name", records(helloMessage([serverNameExtension("a\0b")])), "malformed_sni"],
    ["half a hello, the time being up", records(helloMessage([])).subarray(0, 30), "hello_timeout"],
    ["nothing, the time being up", undefined, "hello_timeout"],
  ] as const) {
    test(`${title}: ${why}`, () => assert.equal(dnat.whyNoChain(connectionInfo(), read), why));
  }
});

suite("which listeners explain", () => {
  test("none without such a chain", () => {
    assert.equal(compiled([named("a.test"), {}]), undefined);
    assert.equal(compiled([named("a.test", "outbound_.80_._.a.test")]), undefined);
    assert.equal(compiled([]), undefined);
  });

  test("beside chains of other names, a name of another form is not called malformed", () => {
    const mixed = compiled([named("outbound_.80_._.a.test"), named("*.shop.test")])!;
    assert.equal(mixed.whyNoChain(tls("b.test", "istio"), undefined), undefined);
    assert.equal(mixed.whyNoChain(tls("outbound|80||a.test", "istio"), undefined), "malformed_sni");
    assert.equal(mixed.whyNoChain(tls("outbound_.80_._.b.test", "istio"), undefined), "host_not_exported");
  });

  test("one that does not read hellos blames no client", () => {
    assert.equal(compiled([named("outbound_.80_._.a.test")], false)?.whyNoChain(connectionInfo(), undefined), undefined);
  });

  test("a name of two chains lacks its protocol only when both do", () => {
    const two = compiled([named("outbound_.80_._.a.test"), { ...named("outbound_.80_._.a.test"), applicationProtocols: ["h2"] }])!;
    assert.equal(two.whyNoChain(tls("outbound_.80_._.a.test", "h2"), undefined), undefined);
    assert.equal(two.whyNoChain(tls("outbound_.80_._.a.test", "x"), undefined), "no_mesh_alpn");
  });
});
