// What makes the head of an HTTP/2 request malformed, and with which word.
import assert from "node:assert/strict";
import { test } from "node:test";
import { HpackDecoder } from "../../../../src/wire/hpack/decoder.ts";
import { Head } from "../../../../src/wire/http1-head.ts";
import { MessageReader } from "../../../../src/wire/http2/message.ts";
import { block, getFields } from "../../../support/h2-frames.ts";

type Fields = readonly (readonly [string, string])[];

function read(fields: Fields): Head | string {
  const reader = new MessageReader({ maxBytes: 60 * 1024, maxHeaders: 100, underscores: "ALLOW" });
  reader.begin("request");
  const bytes = block(fields);
  new HpackDecoder(4096).decode(bytes, 0, bytes.length, reader);
  return reader.end();
}

const base = getFields();
const without = (name: string): Fields => base.filter(([key]) => key !== name);
const replaced = (name: string, value: string): Fields => base.map(([key, old]) => [key, key === name ? value : old] as const);

const invalid = "invalid.header.field";
const violation = "violation.of.messaging.rule";
const cases: readonly (readonly [what: string, fields: Fields, expected: string])[] = [
  ["no authority and no host", without(":authority"), violation],
  ["no path", without(":path"), violation],
  ["a path without a slash", replaced(":path", "x"), violation],
  ["an absolute path", replaced(":path", "http://lab/x"), violation],
  ["* for a GET", replaced(":path", "*"), violation],
  ["an empty path", replaced(":path", ""), invalid],
  ["a space in the path", replaced(":path", "/a b"), invalid],
  ["two paths", [...base, [":path", "/x"]], invalid],
  ["a pseudo-field behind others", [...without(":path"), ["x-a", "1"], [":path", "/x"]], invalid],
  ["an authority with a user", replaced(":authority", "u@lab"), invalid],
  ["an authority with a slash", replaced(":authority", "lab/x"), invalid],
];
for (const [what, fields, expected] of cases) test(`refuses ${what}`, () => assert.equal(read(fields), expected));

test("takes host for a missing authority, and * for OPTIONS", () => {
  const head = read([...without(":authority"), ["host", "lab"]]);
  assert.ok(head instanceof Head && head.host === "lab");
  assert.ok(
    read([
      [":method", "OPTIONS"],
      [":scheme", "http"],
      [":path", "*"],
      [":authority", "lab"],
    ]) instanceof Head,
  );
});
