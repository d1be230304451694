import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { compileFilterChains } from "../../../../../src/listener/filter-chain-manager.ts";
import { cidrContains, parseCidr, parseIp } from "../../../../../src/match/cidr.ts";
import { firstMatches, prefixRange, type SubnetMatch } from "../../../../../src/source/mesh/route/source-subnets.ts";
import { ConnectionInfo } from "../../../../../src/telemetry/stream-info.ts";
import { seededRandom } from "../../../../support/cluster-models.ts";
import { filterChain, tcpProxyFilter } from "../../../../support/listener-models.ts";

const range = (cidr: string): { readonly addressPrefix: string; readonly prefixLen: number } => {
  const { address_prefix: addressPrefix, prefix_len: prefixLen } = prefixRange(cidr);
  return { addressPrefix, prefixLen };
};
const isIn = (ip: string, cidr: string): boolean => cidrContains(parseCidr(range(cidr))!, parseIp(ip)!);

/** What routes say in their order. */
function inOrder(matches: readonly SubnetMatch<string>[], source: string, destination: string): string | undefined {
  return matches.find(
    (match) =>
      (match.destinations.length === 0 || match.destinations.some((each) => isIn(destination, each))) &&
      (match.source === "" || isIn(source, match.source)),
  )?.value;
}

/** What a listener with the cells as its chains says. */
function byChain(matches: readonly SubnetMatch<string>[], own: string): (source: string, destination: string) => string | undefined {
  const cells = firstMatches(matches, own);
  const chains = cells.map((cell) =>
    filterChain([tcpProxyFilter("c")], {
      prefixRanges: cell.destination + own === "" ? [] : [range(cell.destination || own)],
      sourcePrefixRanges: cell.source === "" ? [] : [range(cell.source)],
    }),
  );
  const compiled = compileFilterChains({ filterChains: chains });
  assert.ok(compiled.ok, JSON.stringify(cells));
  return (source, destination) => {
    const found = compiled.value.find(new ConnectionInfo(0, 0, 0, { ip: source, port: 1 }, { ip: destination, port: 1 }));
    return found === undefined ? undefined : cells[found]!.value;
  };
}

const prefixes = ["10.0.0.0/8", "10.1.0.0/16", "10.1.7.9/16", "10.1.2.0/24", "10.1.2.3", "10.9.0.0/16", "2001:db8::/32", "2001:db8::1"];
const families = ["0.0.0.0/0", "::/0"];
const addresses = ["10.1.2.3", "10.1.2.4", "10.1.9.9", "10.9.9.9", "10.200.0.1", "192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db9::1"];

suite("routes by the caller's subnet", () => {
  test("each connection gets the first route that holds for it, whatever prefixes there are", () => {
    const random = seededRandom(7);
    const pick = (list: readonly string[]): string => list[Math.floor(random() * list.length)]!;
    const several = (): readonly string[] => Array.from({ length: Math.floor(random() * 3) }, () => pick(prefixes));
    for (let round = 0; round < 300; round++) {
      const matches = Array.from({ length: 1 + Math.floor(random() * 5) }, (_, index) => ({
        destinations: several(),
        source: random() < 0.3 ? "" : pick([...prefixes, ...families]),
        value: `route ${index}`,
      }));
      const own = pick(["", "10.1.0.0/16"]);
      const find = byChain(matches, own);
      for (const source of addresses)
        for (const destination of addresses.filter((ip) => own === "" || isIn(ip, own)))
          assert.equal(
            find(source, destination),
            inOrder(matches, source, destination),
            JSON.stringify({ matches, own, source, destination }),
          );
    }
  });

  test("a narrower source that meets the same is no chain of its own", () => {
    const matches = [
      { destinations: [], source: "10.0.0.0/8", value: "one" },
      { destinations: [], source: "10.1.0.0/16", value: "two" },
      { destinations: [], source: "", value: "rest" },
    ];
    assert.deepEqual(firstMatches(matches), [
      { destination: "", source: "10.0.0.0/8", value: "one", rest: false },
      { destination: "", source: "", value: "rest", rest: true },
    ]);
  });

  test("destinations of a whole family are any", () => {
    assert.deepEqual(firstMatches([{ destinations: ["0.0.0.0/0"], source: "10.0.0.0/8", value: "one" }]), [
      { destination: "", source: "10.0.0.0/8", value: "one", rest: false },
      { destination: "", source: "", value: undefined, rest: true },
    ]);
  });

  test("without routes there is only the rest", () => {
    assert.deepEqual(firstMatches([]), [{ destination: "", source: "", value: undefined, rest: true }]);
  });
});
