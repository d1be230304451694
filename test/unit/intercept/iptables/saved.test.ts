import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { canonicalRule, parseSaved } from "../../../../src/intercept/iptables/saved.ts";

suite("iptables-save", () => {
  test("tables, chains and rules are read, comments and counters passed over", () => {
    const saved = parseSaved(
      "# Generated\n*nat\n:OUTPUT ACCEPT [0:0]\n:ISTIO_OUTPUT - [0:0]\n-A OUTPUT -j ISTIO_OUTPUT\nCOMMIT\n*raw\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n",
    );
    assert.deepEqual(saved.get("nat")?.get("OUTPUT"), ["-A OUTPUT -j ISTIO_OUTPUT"]);
    assert.deepEqual([...(saved.get("nat")?.keys() ?? [])], ["OUTPUT", "ISTIO_OUTPUT"]);
    assert.deepEqual(saved.get("raw")?.get("OUTPUT"), []);
  });

  for (const [written, printed] of [
    ["-p tcp --dport 15008 -j RETURN", "-p tcp -m tcp --dport 15008 -j RETURN"],
    [
      "-o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m owner --uid-owner 1337 -j X",
      "! -d 127.0.0.1/32 -o lo -p tcp -m tcp ! --dport 15008 -m owner --uid-owner 1337 -j X",
    ],
    ["-d 10.1.2.3/16 -j RETURN", "-d 10.1.0.0/16 -j RETURN"],
    ["-d fd00:0::0/8 -j RETURN", "-d fd00::/8 -j RETURN"],
    ["-s ::127.0.0.53/128 -j RETURN", "-s ::7f00:35/128 -j RETURN"],
    ["-p udp --dport 53 -j REDIRECT --to-port 15053", "-p udp -m udp --dport 53 -j REDIRECT --to-ports 15053"],
    ["-j MARK --set-mark 1337", "-j MARK --set-xmark 0x539/0xffffffff"],
    ["-m mark ! --mark 1338 -j RETURN", "-m mark ! --mark 0x53a -j RETURN"],
    ["-j CONNMARK --save-mark", "-j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff"],
    [
      "-p tcp -j TPROXY --on-port 15006 --tproxy-mark 1337/0xffffffff",
      "-p tcp -j TPROXY --on-port 15006 --on-ip 0.0.0.0 --tproxy-mark 0x539/0xffffffff",
    ],
    ["-m conntrack --ctstate ESTABLISHED,RELATED -j X", "-m conntrack --ctstate RELATED,ESTABLISHED -j X"],
  ] as const) {
    test(`${written} is what it is printed as`, () => assert.equal(canonicalRule(written), canonicalRule(printed)));
  }

  for (const [one, other] of [
    ["-p tcp --dport 80 -j RETURN", "-p tcp ! --dport 80 -j RETURN"],
    ["-p tcp --dport 80 -j RETURN", "-p tcp --dport 81 -j RETURN"],
    ["-m mark --mark 1337 -j RETURN", "-m mark --mark 0x539/0xff -j RETURN"],
    ["-m owner ! --gid-owner 1 -m owner ! --gid-owner 2 -j RETURN", "-m owner ! --gid-owner 1 -j RETURN"],
    ["-d 10.0.0.0/8 -j RETURN", "-s 10.0.0.0/8 -j RETURN"],
  ] as const) {
    test(`${one} is not ${other}`, () => assert.notEqual(canonicalRule(one), canonicalRule(other)));
  }
});
