// IP ranges: what parses, what contains what, and that the longest prefix wins.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { cidrContains, isLoopback, parseCidr, parseIp, PrefixTable } from "../../../src/match/cidr.ts";
import type { IpWords, ParsedCidr } from "../../../src/match/cidr.ts";

function ip(text: string): IpWords {
  const words = parseIp(text);
  assert.ok(words, text);
  return words;
}

function cidr(text: string): ParsedCidr {
  const [addressPrefix = "", length] = text.split("/");
  const parsed = parseCidr({ addressPrefix, prefixLen: Number(length) });
  assert.ok(parsed, text);
  return parsed;
}

suite("CIDR", () => {
  const same: readonly (readonly [string, string])[] = [
    ["::1", "0:0:0:0:0:0:0:1"],
    ["2001:DB8::5", "2001:db8:0:0::5"],
    ["::ffff:10.0.0.1", "10.0.0.1"],
    ["::ffff:a00:1", "10.0.0.1"],
    ["fe80::1%eth0", "fe80::1"],
    ["64:ff9b::1.2.3.4", "64:ff9b::102:304"],
  ];
  for (const [a, b] of same) test(`${a} and ${b} are one address`, () => assert.deepEqual(ip(a), ip(b)));

  for (const text of ["", "1.2.3", "1.2.3.4.5", "256.1.1.1", "localhost", ":::", "1::2::3"]) {
    test(`${JSON.stringify(text)} is no address`, () => assert.equal(parseIp(text), undefined));
  }

  const inside: readonly (readonly [string, string, boolean])[] = [
    ["10.0.0.0/8", "10.255.1.2", true],
    ["10.0.0.0/8", "11.0.0.0", false],
    ["10.1.2.3/8", "10.9.9.9", true],
    ["0.0.0.0/0", "255.255.255.255", true],
    ["0.0.0.0/0", "::1", false],
    ["::/0", "1.2.3.4", false],
    ["::/0", "ffff::", true],
    ["192.168.1.1/32", "192.168.1.1", true],
    ["192.168.1.1/32", "192.168.1.2", false],
    ["128.0.0.0/1", "200.0.0.1", true],
    ["2001:db8::/33", "2001:db8:7fff::1", true],
    ["2001:db8::/33", "2001:db8:8000::1", false],
    ["fd00::/127", "fd00::1", true],
    ["fd00::/127", "fd00::2", false],
    ["::ffff:10.0.0.0/104", "10.200.0.1", true],
  ];
  for (const [range, address, expected] of inside) {
    test(`${range} ${expected ? "contains" : "does not contain"} ${address}`, () =>
      assert.equal(cidrContains(cidr(range), ip(address)), expected));
  }

  for (const [addressPrefix, prefixLen] of [
    ["10.0.0.0", 33],
    ["10.0.0.0", -1],
    ["::", 129],
    ["x", 8],
    ["10.0.0.0", 8.5],
  ] as const) {
    test(`${addressPrefix}/${prefixLen} is no range`, () => assert.equal(parseCidr({ addressPrefix, prefixLen }), undefined));
  }

  test("loopback is 127.0.0.0/8 and ::1", () => {
    assert.deepEqual(
      ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"].map((text) => isLoopback(ip(text))),
      [true, true, true, true],
    );
    assert.deepEqual(
      ["126.0.0.1", "128.0.0.1", "::2", "1::1"].map((text) => isLoopback(ip(text))),
      [false, false, false, false],
    );
  });

  test("the longest prefix wins, and equal ranges share a value", () => {
    const table = new PrefixTable<string>();
    for (const range of ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "::/0", "fd00::/8"])
      table.getOrAdd(cidr(range), () => range);
    assert.equal(
      table.getOrAdd(cidr("10.77.0.0/8"), () => "another"),
      "10.0.0.0/8",
    );
    const found = ["9.9.9.9", "10.9.9.9", "10.1.9.9", "10.1.2.3", "1::", "fd12::1"].map((text) => table.find(ip(text)));
    assert.deepEqual(found, ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "::/0", "fd00::/8"]);
  });

  test("an address outside every range finds nothing", () => {
    const table = new PrefixTable<string>();
    table.getOrAdd(cidr("10.0.0.0/8"), () => "ten");
    assert.equal(table.find(ip("11.0.0.1")), undefined);
    assert.equal(table.find(ip("::a00:1")), undefined);
  });
});
