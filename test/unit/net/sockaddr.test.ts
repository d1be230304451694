// Addresses as the kernel writes them.
import assert from "node:assert/strict";
import { endianness } from "node:os";
import { suite, test } from "node:test";
import { decodeSockaddr, encodeSockaddr } from "../../../src/net/sockaddr.ts";

function sockaddr(family: number, rest: string): Uint8Array {
  const bytes = new Uint8Array(2 + rest.length / 2);
  bytes.set(endianness() === "LE" ? [family, 0] : [0, family]);
  bytes.set(Buffer.from(rest, "hex"), 2);
  return bytes;
}

const six = (groups: string): string => `01bb00000000${groups}00000000`;

suite("sockaddr", () => {
  for (const [ip, port, family, hex] of [
    ["10.0.0.1", 8000, 2, "1f400a0000010000000000000000"],
    ["255.1.2.3", 0, 2, "0000ff0102030000000000000000"],
    ["2001:db8::1", 443, 10, six("20010db8000000000000000000000001")],
    ["::", 443, 10, six("00000000000000000000000000000000")],
    ["::6", 443, 10, six("00000000000000000000000000000006")],
    ["fd00::", 443, 10, six("fd000000000000000000000000000000")],
    ["1:2:3:4:5:6:7:8", 443, 10, six("00010002000300040005000600070008")],
    ["::ffff:102:304", 443, 10, six("00000000000000000000ffff01020304")],
  ] as const) {
    test(`${ip} port ${port}, both ways`, () => {
      assert.deepEqual(new Uint8Array(encodeSockaddr({ ip, port })), sockaddr(family, hex));
      assert.deepEqual(decodeSockaddr(sockaddr(family, hex)), { ip, port });
    });
  }

  test("a zone is left out, and a dotted tail is read", () => {
    assert.equal(decodeSockaddr(encodeSockaddr({ ip: "fe80::1%eth0", port: 1 })).ip, "fe80::1");
    assert.equal(decodeSockaddr(encodeSockaddr({ ip: "::ffff:1.2.3.4", port: 1 })).ip, "::ffff:102:304");
  });
});
