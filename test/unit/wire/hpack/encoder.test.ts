// What the encoder writes is read back by the decoder, whatever the tables do meanwhile.
import assert from "node:assert/strict";
import { test } from "node:test";
import { HpackDecoder } from "../../../../src/wire/hpack/decoder.ts";
import { HpackEncoder } from "../../../../src/wire/hpack/encoder.ts";
import { seededRandom } from "../../../support/cluster-models.ts";

type Fields = readonly (readonly [string, string])[];

function encode(encoder: HpackEncoder, fields: Fields): Buffer {
  encoder.begin();
  for (const [name, value] of fields) encoder.field(name, value);
  return encoder.end();
}

function decode(decoder: HpackDecoder, bytes: Buffer): Fields {
  const fields: [string, string][] = [];
  assert.ok(decoder.decode(bytes, 0, bytes.length, { onField: ({ name, value }) => fields.push([name, value]) }));
  return fields;
}

test("a field that comes a third time takes one byte; one that never repeats pushes nothing out", () => {
  const encoder = new HpackEncoder(4096);
  const decoder = new HpackDecoder(4096);
  const sizes = Array.from({ length: 4 }, (_, i) => {
    const fields: Fields = [
      [":method", "GET"],
      ["user-agent", "a program of some length"],
      ["x-request-id", `id ${i}`],
    ];
    const bytes = encode(encoder, fields);
    assert.deepEqual(decode(decoder, bytes), fields);
    return bytes.length;
  });
  assert.equal(sizes[3], sizes[2]);
  // Method and user-agent a byte each, the id in plain.
  assert.equal(sizes[2], 2 + 1 + 1 + 12 + 1 + 4);
});

test("secrets are never put into the table", () => {
  const encoder = new HpackEncoder(4096);
  for (let i = 0; i < 3; i++) {
    const bytes = encode(encoder, [["authorization", "Bearer x"]]);
    // Literal, never indexed (RFC 7541 section 6.2.3).
    assert.equal(bytes[0]! & 0xf0, 0x10);
  }
});

test("long values, many names and any change of the peer's table are read back", () => {
  const next = seededRandom(3);
  const random = (most: number): number => Math.floor(next() * most);
  const encoder = new HpackEncoder(4096);
  const decoder = new HpackDecoder(4096);
  for (let round = 0; round < 2000; round++) {
    if (random(20) === 0) encoder.limitTable(random(5000), 4096);
    const fields: Fields = Array.from({ length: random(12) }, () => [
      `x-${random(random(2) === 0 ? 5 : 600)}`,
      "v".repeat(random(random(30) === 0 ? 3000 : 60)) + String(random(3)),
    ]);
    assert.deepEqual(decode(decoder, encode(encoder, fields)), fields);
  }
});
