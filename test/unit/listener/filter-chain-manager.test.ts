// Filter-chain matching: Envoy's order, most specific first, never back.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { FilterChainMatch } from "../../../src/envoy/listener/listener.ts";
import { compileFilterChains } from "../../../src/listener/filter-chain-manager.ts";
import type { FilterChainMatcher } from "../../../src/listener/filter-chain-manager.ts";
import { connectionInfo, filterChain } from "../../support/listener-models.ts";
import type { ConnectionFacts } from "../../support/listener-models.ts";

function compiled(chains: Readonly<Record<string, Partial<FilterChainMatch>>>): (facts: ConnectionFacts) => string | undefined {
  const names = Object.keys(chains);
  const result = compileFilterChains({ filterChains: Object.values(chains).map((match) => filterChain([], match)) });
  assert.ok(result.ok, JSON.stringify(result.issues));
  const matcher: FilterChainMatcher = result.value;
  return (facts) => {
    const index = matcher.find(connectionInfo(facts));
    return index === undefined ? undefined : names[index];
  };
}

const range = (text: string): { addressPrefix: string; prefixLen: number } => {
  const [addressPrefix = "", length] = text.split("/");
  return { addressPrefix, prefixLen: Number(length) };
};

suite("filter chain match", () => {
  const cases: readonly {
    readonly title: string;
    readonly chains: Readonly<Record<string, Partial<FilterChainMatch>>>;
    readonly finds: readonly (readonly [ConnectionFacts, string | undefined])[];
  }[] = [
    {
      title: "destination port before everything else",
      chains: { port: { destinationPort: 80 }, name: { serverNames: ["a.test"] } },
      finds: [
        [{ local: "10.0.0.1:80", serverName: "a.test" }, "port"],
        [{ local: "10.0.0.1:81", serverName: "a.test" }, "name"],
        [{ local: "10.0.0.1:81" }, undefined],
      ],
    },
    {
      title: "no way back after a port matched",
      chains: { port: { destinationPort: 80, serverNames: ["a.test"] }, any: {} },
      finds: [
        [{ local: "10.0.0.1:80", serverName: "b.test" }, undefined],
        [{ local: "10.0.0.1:81", serverName: "b.test" }, "any"],
      ],
    },
    {
      title: "longest destination prefix, of its own family",
      chains: {
        wide: { prefixRanges: [range("10.0.0.0/8"), range("fd00::/8")] },
        narrow: { prefixRanges: [range("10.1.0.0/16")] },
        any: {},
      },
      finds: [
        [{ local: "10.2.0.1:1" }, "wide"],
        [{ local: "10.1.0.1:1" }, "narrow"],
        [{ local: "[fd00::1]:1" }, "wide"],
        [{ local: "[2001:db8::1]:1" }, "any"],
        [{ local: "172.16.0.1:1" }, "any"],
      ],
    },
    {
      title: "server name exact, then most specific suffix, then none",
      chains: { exact: { serverNames: ["a.b.test"] }, near: { serverNames: ["*.b.test"] }, far: { serverNames: ["*.test"] }, any: {} },
      finds: [
        [{ serverName: "a.b.test" }, "exact"],
        [{ serverName: "c.b.test" }, "near"],
        [{ serverName: "b.test" }, "far"],
        [{ serverName: "other" }, "any"],
        [{}, "any"],
      ],
    },
    {
      title: "transport protocol, raw_buffer where nothing was detected",
      chains: { tls: { transportProtocol: "tls" }, raw: { transportProtocol: "raw_buffer" } },
      finds: [
        [{ transportProtocol: "tls" }, "tls"],
        [{}, "raw"],
      ],
    },
    {
      title: "any chain of a name before the transport protocol of another, as the order says",
      chains: { named: { serverNames: ["a.test"], transportProtocol: "tls" }, tls: { transportProtocol: "tls" } },
      finds: [
        [{ serverName: "a.test", transportProtocol: "tls" }, "named"],
        [{ serverName: "a.test" }, undefined],
      ],
    },
    {
      title: "ALPN in the client's order, then none",
      chains: { istio: { applicationProtocols: ["istio", "istio-h2"] }, h2: { applicationProtocols: ["h2"] }, any: {} },
      finds: [
        [{ applicationProtocols: ["x", "istio"] }, "istio"],
        [{ applicationProtocols: ["h2", "istio"] }, "h2"],
        [{ applicationProtocols: ["istio-h2", "h2"] }, "istio"],
        [{ applicationProtocols: ["x"] }, "any"],
        [{}, "any"],
      ],
    },
    {
      title: "direct source before the source that PROXY protocol gave",
      chains: { direct: { directSourcePrefixRanges: [range("10.0.0.0/8")] }, source: { sourcePrefixRanges: [range("192.0.2.0/24")] } },
      finds: [
        [{ directRemote: "10.0.0.5:1", remote: "192.0.2.1:1" }, "direct"],
        [{ directRemote: "172.16.0.1:1", remote: "192.0.2.1:1" }, "source"],
        [{ directRemote: "172.16.0.1:1", remote: "198.51.100.1:1" }, undefined],
      ],
    },
    {
      title: "source type by loopback and by equal addresses",
      chains: { local: { sourceType: "SAME_IP_OR_LOOPBACK" }, external: { sourceType: "EXTERNAL" } },
      finds: [
        [{ remote: "127.0.0.1:5" }, "local"],
        [{ remote: "[::1]:5" }, "local"],
        [{ remote: "10.0.0.1:5", local: "10.0.0.1:80" }, "local"],
        [{ remote: "10.0.0.2:5", local: "10.0.0.1:80" }, "external"],
      ],
    },
    {
      title: "any source type where the wanted one has no chain",
      chains: { external: { sourceType: "EXTERNAL" }, any: {} },
      finds: [
        [{ remote: "127.0.0.1:5" }, "any"],
        [{ remote: "9.9.9.9:5" }, "external"],
      ],
    },
    {
      title: "source prefix, then source port, then any port",
      chains: {
        port: { sourcePrefixRanges: [range("9.0.0.0/8")], sourcePorts: [5, 6] },
        prefix: { sourcePrefixRanges: [range("9.0.0.0/8")] },
        ports: { sourcePorts: [7] },
      },
      finds: [
        [{ remote: "9.1.1.1:6" }, "port"],
        [{ remote: "9.1.1.1:7" }, "prefix"],
        [{ remote: "8.1.1.1:7" }, "ports"],
        [{ remote: "8.1.1.1:8" }, undefined],
      ],
    },
    {
      title: "Istio's inbound order: port, transport protocol, ALPN",
      chains: {
        mtlsHttp: { destinationPort: 80, transportProtocol: "tls", applicationProtocols: ["istio-http/1.1"] },
        plainHttp: { destinationPort: 80, transportProtocol: "raw_buffer", applicationProtocols: ["http/1.1", "h2c"] },
        mtlsTcp: { destinationPort: 80, transportProtocol: "tls", applicationProtocols: ["istio"] },
        plainTcp: { destinationPort: 80, transportProtocol: "raw_buffer" },
        passthrough: { destinationPort: 80, transportProtocol: "tls" },
      },
      finds: [
        [{ transportProtocol: "tls", applicationProtocols: ["istio-http/1.1", "istio"] }, "mtlsHttp"],
        [{ transportProtocol: "tls", applicationProtocols: ["istio"] }, "mtlsTcp"],
        [{ transportProtocol: "tls", applicationProtocols: ["h2"] }, "passthrough"],
        [{ applicationProtocols: ["h2c"] }, "plainHttp"],
        [{}, "plainTcp"],
      ],
    },
  ];
  for (const { title, chains, finds } of cases) {
    test(title, () => {
      const find = compiled(chains);
      for (const [facts, expected] of finds) assert.equal(find(facts), expected, JSON.stringify(facts));
    });
  }

  const refused: readonly (readonly [string, Partial<FilterChainMatch>, Partial<FilterChainMatch>])[] = [
    ["equal matches", { serverNames: ["a.test"] }, { serverNames: ["a.test"] }],
    ["two matches of everything", {}, {}],
    ["one name in common", { serverNames: ["a.test", "b.test"] }, { serverNames: ["c.test", "b.test"] }],
    ["ranges that differ only in host bits", { prefixRanges: [range("10.1.2.3/8")] }, { prefixRanges: [range("10.9.9.9/8")] }],
    ["a range of length 0 beside no range", { prefixRanges: [range("0.0.0.0/0")] }, {}],
  ];
  for (const [title, first, second] of refused) {
    test(`refuses ${title}`, () => {
      const result = compileFilterChains({ filterChains: [filterChain([], first), filterChain([], second)] });
      assert.deepEqual(
        result.issues.map((issue) => issue.path),
        [["filter_chains", 1, "filter_chain_match"]],
      );
      assert.equal(result.ok, false);
    });
  }

  test("says the first criterion that nothing meets, and nothing of a connection that is taken", () => {
    const result = compileFilterChains({
      filterChains: [
        filterChain([], { serverNames: ["a.test"], applicationProtocols: ["istio"] }),
        filterChain([], { destinationPort: 99 }),
      ],
    });
    assert.ok(result.ok);
    const missed = (facts: ConnectionFacts): string | undefined => result.value.missedAt(connectionInfo(facts));
    assert.equal(missed({ serverName: "b.test" }), "server_names");
    assert.equal(missed({ serverName: "a.test" }), "application_protocols");
    assert.equal(missed({ serverName: "a.test", applicationProtocols: ["istio"] }), undefined);
    assert.equal(missed({ local: "10.0.0.1:99" }), undefined);
  });

  test("refuses a range that is none, and says which chain", () => {
    const result = compileFilterChains({
      filterChains: [filterChain([], { sourcePrefixRanges: [{ addressPrefix: "10.0.0.0", prefixLen: 40 }] })],
    });
    assert.equal(result.ok, false);
    assert.match(result.issues[0]?.message ?? "", /no IP range/);
  });

  test("takes a chain whose own lists repeat a value", () => {
    assert.equal(compileFilterChains({ filterChains: [filterChain([], { serverNames: ["a.test", "a.test"] })] }).ok, true);
  });
});
