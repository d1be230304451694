// Addresses as the kernel writes them.
import assert from "node:assert/strict";
import { endianness } from "node:os";
import { suite, test } from "node:test";
import { decodeSockaddr, originalDestination } from "../../../src/net/original-dst.ts";

function sockaddr(family: number, rest: string): Uint8Array {
  const bytes = new Uint8Array(28);
  bytes.set(endianness() === "LE" ? [family, 0] : [0, family]);
  bytes.set(Buffer.from(rest, "hex"), 2);
  return bytes;
}

suite("original destination", () => {
  test("reads sockaddr_in", () => assert.deepEqual(decodeSockaddr(sockaddr(2, "1f400a000001")), { ip: "10.0.0.1", port: 8000 }));
  test("reads sockaddr_in6 in the form Node uses", () => {
    assert.deepEqual(decodeSockaddr(sockaddr(10, "01bb0000000020010db8000000000000000000000001")), { ip: "2001:db8::1", port: 443 });
  });
  test("a descriptor that is no socket has none", () => {
    assert.equal(originalDestination(-1, 4), undefined);
    assert.equal(originalDestination(0, 6), undefined);
  });
});
