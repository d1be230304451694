import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { Decoder } from "../../../src/envoy/decode/cursor.ts";
import { message } from "../../../src/envoy/decode/message.ts";
import { nearest } from "../../../src/envoy/decode/nearest.ts";
import {
  bool,
  bytes,
  double,
  duration,
  enumeration,
  headerName,
  int64,
  integer,
  list,
  nonEmpty,
  positiveDuration,
  record,
  text,
  uint32,
} from "../../../src/envoy/decode/scalars.ts";
import { decodeFractionalPercent, decodePercent } from "../../../src/envoy/percent.ts";
import { accepted, issuesOf } from "./decoding.ts";

const protocol = enumeration({ AUTO: 0, HTTP1: 1, TLSv1_2: 3 });

suite("scalar decoders", () => {
  const good: readonly (readonly [string, Decoder<unknown>, unknown, unknown])[] = [
    ["a string", text, "x", "x"],
    ["a header name, in lower case", headerName, "X-Set", "x-set"],
    ["a pseudo-header name", headerName, ":path", ":path"],
    ["true", bool, true, true],
    ["a number", uint32, 4_294_967_295, 4_294_967_295],
    ["a number as a string, as proto JSON allows", uint32, "7", 7],
    ["a whole number written with an exponent", uint32, "1e3", 1000],
    ["a 64-bit number as a string", int64, "9007199254740991", 9_007_199_254_740_991],
    ["a fraction", double, 0.25, 0.25],
    ["a duration of seconds", duration, "15s", 15_000],
    ["a duration with a fraction, exactly", duration, "0.3s", 300],
    ["a duration of microseconds", duration, "0.000250s", 0.25],
    ["a duration as seconds and nanos", duration, { seconds: "2", nanos: 500_000_000 }, 2500],
    ["a duration of nothing", duration, "0s", 0],
    ["an enum by name", protocol, "HTTP1", "HTTP1"],
    ["an enum by number", protocol, 3, "TLSv1_2"],
    ["an enum in another case, as Envoy does", protocol, "tlsv1-2", "TLSv1_2"],
    ["base64", bytes, "aGk=", Buffer.from("hi")],
    ["URL-safe base64", bytes, "_-8", Buffer.from([0xff, 0xef])],
    ["a list", list(uint32), [1, "2"], [1, 2]],
    ["a map, whatever its keys", record(uint32), JSON.parse('{"__proto__": 1, "b": 2}'), JSON.parse('{"__proto__": 1, "b": 2}')],
    ["a percentage", decodePercent, { value: 12.5 }, 12.5],
    ["a share of a hundred", decodeFractionalPercent, { numerator: 25 }, 0.25],
    ["a share of a million", decodeFractionalPercent, { numerator: 25, denominator: "MILLION" }, 0.000025],
    ["a share above the whole", decodeFractionalPercent, { numerator: 200 }, 1],
  ];
  for (const [title, decoder, json, expected] of good) test(`take ${title}`, () => assert.deepEqual(accepted(decoder, json), expected));

  const bad: readonly (readonly [string, Decoder<unknown>, unknown, string])[] = [
    ["a number for a string, with the remedy", text, 8080, "expected a string, got 8080 (quote it)"],
    ["an empty name", nonEmpty, "", "must not be empty"],
    ["a header name with a space", headerName, "x y", "not a header name"],
    ["a string for a truth value", bool, "true", 'expected true or false, got "true"'],
    ["a fraction for a whole number", uint32, 1.5, "expected a whole number, got 1.5"],
    ["a negative number where none is allowed", uint32, -1, "expected a number from 0 to 4294967295, got -1"],
    ["a port that there is not", integer(1, 65_535), 70_000, "expected a number from 1 to 65535, got 70000"],
    ["hexadecimal", uint32, "0x10", 'expected a whole number, got "0x10"'],
    ["infinity", double, Number.POSITIVE_INFINITY, "expected a number, got Infinity"],
    ["a duration without its unit", duration, "15", 'expected a duration such as "1.5s", got "15"'],
    ["a duration in milliseconds", duration, "15ms", 'expected a duration such as "1.5s", got "15ms"'],
    ["a bare number for a duration", duration, 15, 'expected a duration such as "1.5s", got 15'],
    ["a negative duration", duration, "-1s", "a duration here must not be negative"],
    ["a negative duration below a second", duration, "-0.5s", "a duration here must not be negative"],
    ["no time where some is needed", positiveDuration, "0s", "must be longer than 0s"],
    ["an enum name that there is not", protocol, "HTTP9", 'expected one of AUTO, HTTP1, TLSv1_2, got "HTTP9"'],
    ["an enum number that there is not", protocol, 9, "expected one of AUTO, HTTP1, TLSv1_2, got 9"],
    ["text that is not base64", bytes, "!", "expected base64"],
    ["an object for a list", list(text), {}, "expected a list, got an object"],
    ["too short a list", list(text, { min: 1 }), [], "must not be empty"],
    ["too long a list", list(text, { max: 1 }), ["a", "b"], "expected at most 1 items, got 2"],
    ["a list for a map", record(text), [], "expected an object, got a list"],
    ["a percentage above 100", decodePercent, { value: 101 }, "expected 0 to 100, got 101"],
  ];
  for (const [title, decoder, json, expected] of bad) {
    test(`refuse ${title}`, () => {
      const issues = issuesOf(decoder, json);
      assert.equal(issues.length, 1);
      assert.ok(issues[0]?.startsWith("error ") && issues[0].endsWith(expected), issues[0]);
    });
  }
});

const inner = message(["value"], (m) => m.required("value", uint32));
const sample = message(
  ["stat_prefix", "idle_timeout", "nested", "first_choice", "second_choice", "trusted", "tuning", "known_only"],
  (m) => {
    m.accept("tuning");
    m.refuse("it is a test", "trusted");
    return {
      prefix: m.required("stat_prefix", nonEmpty),
      idle: m.field("idle_timeout", duration, 1000),
      ...m.maybe("nested", "nested", inner),
      choice: m.requiredOneof({ first_choice: text, second_choice: text }, ""),
    };
  },
);
const good = { stat_prefix: "a", first_choice: "x" };

suite("message decoders", () => {
  test("take both spellings of a field and fill in defaults", () => {
    const expected = { prefix: "a", idle: 1000, choice: "x" };
    assert.deepEqual(accepted(sample, good), expected);
    assert.deepEqual(accepted(sample, { statPrefix: "a", firstChoice: "x" }), expected);
  });

  test("take null for absence, and leave optional properties out", () => {
    const value = accepted(sample, { ...good, idle_timeout: null, nested: null });
    assert.equal(value.idle, 1000);
    assert.equal(Object.hasOwn(value, "nested"), false);
  });

  const cases: readonly (readonly [string, object, readonly string[]])[] = [
    ["a field given in both spellings", { ...good, statPrefix: "b" }, ["error statPrefix: given twice, as stat_prefix and as statPrefix"]],
    ["a required field that is missing", { first_choice: "x" }, ["error stat_prefix: required, but not given"]],
    ["both of a oneof", { ...good, second_choice: "y" }, ["error second_choice: give either this or first_choice, not both"]],
    ["none of a oneof", { stat_prefix: "a" }, ["error : one of first_choice, second_choice is required"]],
    [
      "a misspelt field, with the nearest one",
      { ...good, idle_timout: "1s" },
      ["error idle_timout: unknown field, did you mean idle_timeout"],
    ],
    ["a field unlike any other", { ...good, zzz: 1 }, ["error zzz: unknown field of this message"]],
    ["a known field that is not honoured, with a warning", { ...good, knownOnly: 1 }, ["warning knownOnly: is not honoured"]],
    ["a refused field, with the reason", { ...good, trusted: true }, ["error trusted: not supported: it is a test"]],
    [
      "a missing field together with a refused one as one issue",
      { trusted: {}, first_choice: "x" },
      ["error trusted: not supported: it is a test"],
    ],
    [
      "everything wrong in one pass, each with its path",
      { stat_prefix: 1, idle_timeout: "soon", nested: { value: "many", extra: 1 }, first_choice: "x" },
      [
        "error stat_prefix: expected a string, got 1 (quote it)",
        'error idle_timeout: expected a duration such as "1.5s", got "soon"',
        'error nested.value: expected a whole number, got "many"',
        "error nested.extra: unknown field of this message",
      ],
    ],
  ];
  for (const [title, json, expected] of cases) test(`report ${title}`, () => assert.deepEqual(issuesOf(sample, json), expected));

  test("say nothing about refused or tuning fields that ask for nothing", () => {
    assert.deepEqual(issuesOf(sample, { ...good, trusted: false, tuning: { anything: 1 } }), []);
  });

  test("refuse what is not an object", () => {
    for (const json of [1, "x", [], null, undefined]) assert.match(issuesOf(sample, json)[0] ?? "", /^error : expected an object, got /);
  });

  test("make leaving out a known field an error where that is asked for", () => {
    const strict = message(["known"], () => 0, { unhandled: "error" });
    assert.deepEqual(issuesOf(strict, { known: 1 }), ["error known: is not supported, and leaving it out could change who may reach whom"]);
  });

  test("end at hostile nesting with an issue", () => {
    interface Nested {
      readonly child?: Nested;
    }
    const nested: Decoder<Nested> = message(["child"], (m) => m.maybe("child", "child", nested));
    let json: object = {};
    for (let depth = 0; depth < 50_000; depth++) json = { child: json };
    const issues = issuesOf(nested, json);
    assert.equal(issues.length, 1);
    assert.match(issues[0] ?? "", /nested too deeply$/);
  });
});

suite("nearest", () => {
  for (const [word, expected] of [
    ["idle_timout", "idle_timeout"],
    ["cluser", "cluster"],
    ["clutser", "cluster"],
    ["banana", undefined],
  ] as const) {
    test(`finds ${String(expected)} for ${word}`, () => assert.equal(nearest(word, ["cluster", "idle_timeout", "stat_prefix"]), expected));
  }
});
