// PROXY protocol headers, both versions: what is read, what is waited for, what is refused.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { parseProxyHeader } from "../../../src/wire/proxy-protocol.ts";
import { seededRandom } from "../../support/cluster-models.ts";

const signature = Buffer.from("0d0a0d0a000d0a515549540a", "hex");

function v2(command: number, family: number, body: Buffer, length = body.length): Buffer {
  return Buffer.concat([signature, Buffer.from([command, family, length >> 8, length & 255]), body]);
}

const v4Body = Buffer.from([10, 0, 0, 1, 10, 0, 0, 2, 0x1f, 0x90, 0, 80]);
const v6Body = Buffer.concat([
  Buffer.from("20010db8000000000000000000000001", "hex"),
  Buffer.from("20010db8000000000000000000000002", "hex"),
  Buffer.from([0, 1, 255, 255]),
]);
const v4Addresses = { source: { ip: "10.0.0.1", port: 8080 }, destination: { ip: "10.0.0.2", port: 80 } };

suite("PROXY protocol", () => {
  const headers: readonly (readonly [string, Buffer, object | undefined, number])[] = [
    ["version 1 TCP4", Buffer.from("PROXY TCP4 10.0.0.1 10.0.0.2 8080 80\r\n"), v4Addresses, 0],
    [
      "version 1 TCP6",
      Buffer.from("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n"),
      { source: { ip: "2001:db8::1", port: 1 }, destination: { ip: "::1", port: 65535 } },
      0,
    ],
    ["version 1 UNKNOWN", Buffer.from("PROXY UNKNOWN\r\n"), undefined, 0],
    ["version 1 UNKNOWN with anything behind it", Buffer.from("PROXY UNKNOWN ff:: x 1 2\r\n"), undefined, 0],
    ["version 2 IPv4", v2(0x21, 0x11, v4Body), v4Addresses, 0],
    [
      "version 2 IPv6",
      v2(0x21, 0x21, v6Body),
      { source: { ip: "2001:db8::1", port: 1 }, destination: { ip: "2001:db8::2", port: 65535 } },
      0,
    ],
    ["version 2 with TLVs", v2(0x21, 0x11, Buffer.concat([v4Body, Buffer.from([1, 0, 2, 104, 50, 0xea, 0, 0])])), v4Addresses, 2],
    ["version 2 LOCAL with addresses, which do not count", v2(0x20, 0x11, v4Body), undefined, 0],
    ["version 2 LOCAL with nothing", v2(0x20, 0, Buffer.alloc(0)), undefined, 0],
    ["version 2 UNSPEC", v2(0x21, 0, Buffer.alloc(0)), undefined, 0],
    ["version 2 UNSPEC with a TLV", v2(0x21, 0, Buffer.from([4, 0, 1, 0])), undefined, 1],
    ["version 2 Unix", v2(0x21, 0x31, Buffer.alloc(216, 65)), undefined, 0],
  ];
  for (const [title, bytes, addresses, tlvs] of headers) {
    test(`reads ${title}, whatever the split`, () => {
      const found = parseProxyHeader(Buffer.concat([bytes, Buffer.from("payload")]));
      assert.ok(found.kind === "header", found.kind);
      assert.equal(found.consumed, bytes.length);
      assert.deepEqual(found.addresses, addresses);
      assert.equal(found.tlvs.length, tlvs);
      for (let length = 0; length < bytes.length; length++)
        assert.equal(parseProxyHeader(bytes.subarray(0, length)).kind, "incomplete", `${length} bytes`);
    });
  }

  const refused: readonly (readonly [string, Buffer, string])[] = [
    ["other bytes", Buffer.from("GET / HTTP/1.1\r\n"), "absent"],
    ["a near miss of the signature", Buffer.from("0d0a0d0a000d0a515549540b", "hex"), "absent"],
    ["a version 1 line without end", Buffer.from(`PROXY UNKNOWN ${"x".repeat(120)}`), "invalid"],
    ["version 1 with too few fields", Buffer.from("PROXY TCP4 10.0.0.1 10.0.0.2 80\r\n"), "invalid"],
    ["version 1 with an octet beyond 255", Buffer.from("PROXY TCP4 10.0.0.256 10.0.0.2 80 80\r\n"), "invalid"],
    ["version 1 with leading zeros", Buffer.from("PROXY TCP4 10.0.0.01 10.0.0.2 80 80\r\n"), "invalid"],
    ["version 1 with a port beyond 65535", Buffer.from("PROXY TCP4 10.0.0.1 10.0.0.2 65536 80\r\n"), "invalid"],
    ["version 1 with a signed port", Buffer.from("PROXY TCP4 10.0.0.1 10.0.0.2 +1 80\r\n"), "invalid"],
    ["version 1 with the wrong family", Buffer.from("PROXY TCP4 ::1 ::1 1 1\r\n"), "invalid"],
    ["version 1 with a zone", Buffer.from("PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n"), "invalid"],
    ["version 1 of UDP", Buffer.from("PROXY UDP4 10.0.0.1 10.0.0.2 80 80\r\n"), "invalid"],
    ["another version", v2(0x31, 0x11, v4Body), "invalid"],
    ["an unknown command", v2(0x22, 0x11, v4Body), "invalid"],
    ["an unknown family", v2(0x21, 0x41, v4Body), "invalid"],
    ["an unknown transport", v2(0x21, 0x13, v4Body), "invalid"],
    ["addresses that do not fit", v2(0x21, 0x21, v4Body), "invalid"],
    ["a TLV without room for its length", v2(0x21, 0x11, Buffer.concat([v4Body, Buffer.from([1, 0])])), "invalid"],
    ["a TLV that runs past the header", v2(0x21, 0x11, Buffer.concat([v4Body, Buffer.from([1, 0, 9, 1])])), "invalid"],
  ];
  for (const [title, bytes, kind] of refused) test(`tells ${title}`, () => assert.equal(parseProxyHeader(bytes).kind, kind));

  test("never throws and never takes more than there is on random bytes", () => {
    const random = seededRandom(7);
    for (let round = 0; round < 20_000; round++) {
      const bytes = Buffer.concat([
        random() < 0.5 ? signature : Buffer.from("PROXY TCP4 "),
        Buffer.from(Array.from({ length: Math.floor(random() * 64) }, () => Math.floor(random() * 256))),
      ]);
      if (random() < 0.5 && bytes.length > 13) bytes[12] = 0x21;
      const found = parseProxyHeader(bytes);
      if (found.kind === "header") assert.ok(found.consumed <= bytes.length);
    }
  });
});
