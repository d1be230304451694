import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeAddress, writeAddress } from "../../../src/dns/address-bytes.ts";
import { seeded } from "./messages.ts";

test("addresses have one form in bytes, or none", () => {
  assert.equal(encodeAddress("10.1.2.3")?.toString("hex"), "0a010203");
  assert.equal(encodeAddress("2001:db8::1")?.toString("hex"), "20010db8000000000000000000000001");
  assert.equal(encodeAddress("::ffff:10.1.2.3")?.toString("hex"), "00000000000000000000ffff0a010203");
  assert.equal(encodeAddress("fe80::1%eth0")?.toString("hex"), "fe800000000000000000000000000001");
  for (const text of ["", "10.0.0.0/8", "1.2.3", "localhost"]) assert.equal(encodeAddress(text), undefined, text);
});

test("an address is written where it is told, over whatever was there, and what is none writes nothing", () => {
  const out = Buffer.alloc(20, 0xee);
  assert.equal(writeAddress("::1", out, 2), 16);
  assert.equal(out.toString("hex"), `eeee${"00".repeat(15)}01eeee`);
  assert.equal(writeAddress("192.0.2.255", out, 1), 4);
  assert.equal(out.toString("hex"), `eec00002ff${"00".repeat(12)}01eeee`);
  assert.equal(writeAddress("192.0.2.256", out, 0), 0);
  assert.equal(out[0], 0xee);
});

test("an IPv6 address has the same bytes however it is written", () => {
  const random = seeded(6);
  for (let round = 0; round < 2000; round++) {
    const bytes = Buffer.from(Array.from({ length: 16 }, () => (random() < 0.6 ? 0 : Math.floor(random() * 256))));
    const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16));
    const tail = `${groups.slice(0, 6).join(":")}:${bytes.subarray(12).join(".")}`;
    const texts = [groups.join(":"), groups.map((group) => group.padStart(4, "0").toUpperCase()).join(":"), tail, `${tail}%eth0`];
    for (let from = 0; from < 8; from++) {
      const to = groups.findIndex((group, i) => i >= from && group !== "0");
      const behind = to < 0 ? 8 : to;
      if (behind > from) texts.push(`${groups.slice(0, from).join(":")}::${groups.slice(behind).join(":")}`);
    }
    for (const text of texts) assert.equal(encodeAddress(text)?.toString("hex"), bytes.toString("hex"), text);
  }
});
