import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { chooseCoding, type Offer } from "../../../../../src/filter/http/compressor/accept-encoding.ts";

const everything = (): boolean => true;
const gzip: Offer = { coding: "gzip", suits: everything, chooseFirst: false };
const br: Offer = { coding: "br", suits: everything, chooseFirst: false };

// As the real Envoy decides with the same two compressors.
suite("of gzip and br, in this order", () => {
  for (const [accept, coding, why] of [
    [undefined, "identity", "no_accept_header"],
    ["", "identity", "header_not_valid"],
    [",", "identity", "header_not_valid"],
    ["gzip", "gzip", "chosen"],
    ["GZIP", "identity", "header_not_valid"],
    ["br, gzip", "br", "chosen"],
    ["gzip, br", "gzip", "chosen"],
    ["gzip;q=0.5, br;q=1", "br", "chosen"],
    ["gzip;Q=0.3,identity;q=0.2", "gzip", "chosen"],
    ["gzip; q = 0.2 , br ; q=.9", "br", "chosen"],
    ["gzip;q=abc", "identity", "header_not_valid"],
    ["gzip;q=0", "identity", "header_not_valid"],
    ["*;q=0", "identity", "header_not_valid"],
    ["*", "gzip", "header_wildcard"],
    ["gzip;q=0, *", "br", "header_wildcard"],
    ["identity", "identity", "header_identity"],
    ["identity, gzip", "identity", "header_identity"],
    ["deflate", "identity", "header_not_valid"],
  ] as const) {
    test(`${accept ?? "no header"} gives ${coding}`, () =>
      assert.deepEqual(chooseCoding(accept, [gzip, br], "text/html"), { coding, why }));
  }
});

test("choose_first wins where the client does not mind, and not where it does", () => {
  const first = { ...br, chooseFirst: true };
  assert.equal(chooseCoding("gzip, br", [gzip, first], "").coding, "br");
  assert.equal(chooseCoding("gzip;q=0.9, br;q=0.8", [gzip, first], "").coding, "gzip");
});

test("a compressor that would not touch the type is no choice, and of two for a coding the first counts", () => {
  const texts = { ...gzip, suits: (type: string) => type === "text/html" };
  assert.equal(chooseCoding("gzip, br;q=0.5", [texts, br], "image/svg+xml").coding, "br");
  assert.equal(chooseCoding("gzip, br;q=0.5", [texts, br], "text/html").coding, "gzip");
});
