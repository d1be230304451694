import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { canonicalStatement, parseListing } from "../../../../src/intercept/nftables/listing.ts";

suite("nft list", () => {
  test("tables of inet with their chains are read", () => {
    const listed = parseListing(
      "table ip nat {\n\tchain x {\n\t\taccept\n\t}\n}\ntable inet istio-proxy-raw {\n\tchain output {\n\t\ttype filter hook output priority raw; policy accept;\n\t\tcounter packets 3 bytes 9 jump a\n\t}\n\n\tchain a {\n\t}\n}\n",
    );
    assert.deepEqual([...listed.keys()], ["istio-proxy-raw"]);
    assert.deepEqual(listed.get("istio-proxy-raw")?.get("output")?.map(canonicalStatement), [
      "type filter hook output priority -300",
      "counter jump a",
    ]);
    assert.deepEqual(listed.get("istio-proxy-raw")?.get("a"), []);
  });

  for (const [written, printed] of [
    ['oifname "lo" ip saddr 127.0.0.6/32 counter return', 'oifname "lo" ip saddr 127.0.0.6 counter packets 0 bytes 0 return'],
    [
      "meta l4proto tcp tcp dport != { 15008, 53 } meta skuid 3 counter return",
      "tcp dport != { 53, 15008 } meta skuid 3 counter packets 1 bytes 2 return",
    ],
    ["meta mark 1337 counter ct mark set meta mark", "meta mark 0x00000539 counter packets 0 bytes 0 ct mark set meta mark"],
    [
      "meta l4proto tcp ct state related,established counter jump x",
      "meta l4proto tcp ct state established,related counter packets 0 bytes 0 jump x",
    ],
    ["ip6 daddr != ::1/128 counter return", "ip6 daddr != ::1 counter packets 0 bytes 0 return"],
    ["type nat hook prerouting priority -100", "type nat hook prerouting priority dstnat; policy accept;"],
  ] as const) {
    test(`${written} is what it is printed as`, () => assert.equal(canonicalStatement(written), canonicalStatement(printed)));
  }

  for (const [one, other] of [
    ["ip daddr 10.0.0.0/8 counter return", "ip daddr != 10.0.0.0/8 counter return"],
    ["type nat hook output priority -100", "type nat hook output priority -100; policy drop;"],
    ["tcp dport 53 counter return", "udp dport 53 counter return"],
  ] as const) {
    test(`${one} is not ${other}`, () => assert.notEqual(canonicalStatement(one), canonicalStatement(other)));
  }
});
