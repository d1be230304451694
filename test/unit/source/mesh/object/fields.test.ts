import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { Fields, IssueSink } from "../../../../../src/source/mesh/object/fields.ts";
import { encodeDuration, parseDurationSeconds } from "../../../../../src/source/mesh/object/duration.ts";

function read(value: Readonly<Record<string, unknown>>, reader: (fields: Fields) => void): readonly string[] {
  const sink = new IssueSink();
  reader(new Fields(value, ["spec"], sink));
  return sink.issues.map((issue) => `${issue.severity} ${issue.path.join(".")}: ${issue.message}`);
}

suite("fields", () => {
  const cases: readonly (readonly [string, Readonly<Record<string, unknown>>, (fields: Fields) => void, readonly string[]])[] = [
    ["a number for a string", { a: 1 }, (f) => f.string("a"), ["error spec.a: is number 1, expected a string"]],
    ["a missing string", {}, (f) => f.requiredString("a"), ["error spec.a: is missing, expected a string"]],
    ["null as absent", { a: null }, (f) => f.string("a"), []],
    ["text for a truth value", { a: "true" }, (f) => f.boolean("a"), ['error spec.a: is string "true", expected true or false']],
    ["a port too large", { a: 70000 }, (f) => f.port("a"), ["error spec.a: is number 70000, expected a whole number from 1 to 65535"]],
    ["a missing port once", {}, (f) => f.requiredPort("a"), ["error spec.a: is missing, expected a port from 1 to 65535"]],
    ["a word that is not on the list", { a: "X" }, (f) => f.oneOf("a", ["Y", "Z"]), ['error spec.a: is "X", expected one of Y, Z']],
    ["a list item of the wrong type", { a: ["x", 1] }, (f) => f.strings("a"), ["error spec.a.1: is number 1, expected a string"]],
    [
      "a label that is no string",
      { a: { b: true } },
      (f) => f.stringMap("a"),
      ["error spec.a.b: is boolean true, expected a string (quote it)"],
    ],
    ["a list for a mapping", { a: [] }, (f) => f.child("a"), ["error spec.a: is a list, expected a mapping"]],
    [
      "an item of a list in its place",
      { a: [{}, { b: 1 }] },
      (f) => f.list("a", (item) => item.string("b")),
      ["error spec.a.1.b: is number 1, expected a string"],
    ],
    ["an unknown field", { a: "x", b: 1 }, (f) => (f.string("a"), f.finish()), ["error spec.b: is an unknown field, expected one of a"]],
    ["a field without effect", { a: 1 }, (f) => f.notHonoured("a"), ["warning spec.a: has no effect: this field is not honoured"]],
    [
      "a field that must not be left out",
      { a: 1 },
      (f) => f.refused("a"),
      ["error spec.a: is not supported, and leaving it out could change who may reach whom"],
    ],
  ];
  for (const [title, value, reader, expected] of cases) {
    test(`report ${title}`, () => assert.deepEqual(read(value, reader), expected));
  }
});

suite("durations", () => {
  for (const [text, seconds, encoded] of [
    ["10s", 10, "10s"],
    ["1.5s", 1.5, "1.500s"],
    ["100ms", 0.1, "0.100s"],
    ["1h2m3s", 3723, "3723s"],
    ["0", 0, "0s"],
    ["250us", 0.00025, "0.000250s"],
  ] as const) {
    test(`${text} is ${encoded}`, () => {
      assert.equal(parseDurationSeconds(text), seconds);
      assert.equal(encodeDuration(seconds), encoded);
    });
  }
  for (const bad of ["", "10", "s", "1 s", "-1s", "1d"]) {
    test(`"${bad}" is none`, () => assert.equal(parseDurationSeconds(bad), undefined));
  }
});
