import assert from "node:assert/strict";
import { test } from "node:test";
import type { EscapedSlashesAction } from "../../../src/envoy/listener/http-connection-manager.ts";
import { isNormalPath, normalizePath } from "../../../src/http/path.ts";

const plain = { normalizePath: true, mergeSlashes: false, escapedSlashesAction: "KEEP_UNCHANGED" } as const;

const rejected = Symbol("rejected");

const cases: readonly (readonly [target: string, expected: string | typeof rejected])[] = [
  // As recorded from Envoy.
  ["/a/../echo", "/echo"],
  ["/a/%2e%2e/echo", "/echo"],
  ["//echo", "//echo"],
  ["/a%2Fb", "/a%2Fb"],
  ["/a%2fb%5cc", "/a%2fb%5cc"],
  ["/a\\b", "/a/b"],
  ["/%zz", "/%zz"],
  ["/%00", rejected],
  ["/a?x=../..&y=%2e#frag", rejected],
  ["/echo#frag", rejected],
  ["/../../etc", "/etc"],
  ["/%7Eok/%41", "/~ok/A"],
  // Dot segments.
  ["/", "/"],
  ["/a/b/./c", "/a/b/c"],
  ["/a/b/../../../../c", "/c"],
  ["/a/b/%2E./c", "/a/c"],
  ["/a/..", "/"],
  ["/a/.", "/a/"],
  ["/a/b/..", "/a/"],
  ["/a//../b", "/a/b"],
  ["/a/..\\c", "/c"],
  ["/a/...", "/a/..."],
  ["/.well-known/x", "/.well-known/x"],
  ["/a/.b/..c/d..", "/a/.b/..c/d.."],
  ["/a/..%2fb", "/a/..%2fb"],
  ["/a/..;x=1/b", "/b"],
  ["/a/.;x/b", "/a/b"],
  ["/a/b;x/..;y", "/a/"],
  ["a/b/../c", "/a/c"],
  // Escapes.
  ["/%c0%af", "/%c0%af"],
  ["/%5c%25", "/%5c%25"],
  ["/%2D%2e%5F%7e", "/-._~"],
  ['/"<>^`{|}', "/%22%3C%3E%5E%60%7B%7C%7D"],
  ["/\xe9", "/%E9"],
  ["/a%", "/a%"],
  ["/a%4", "/a%4"],
  ["/xyz/.%00../abc", rejected],
  ["/xyz/AAAAA%%0000/abc", rejected],
  ["/%%30%30", "/%2500"],
  ["/%%341", "/%2541"],
  // The query is nobody's business.
  ["/a/../b?x=/../%2e&y=\\", "/b?x=/../%2e&y=\\"],
  ["/a?", "/a?"],
  ["", ""],
];

for (const [target, expected] of cases) {
  test(`normalize_path ${expected === rejected ? "rejects" : `turns into ${JSON.stringify(expected)}`} ${JSON.stringify(target)}`, () => {
    const verdict = normalizePath(target, plain);
    assert.deepEqual(verdict, expected === rejected ? { kind: "reject" } : { kind: "ok", path: expected });
  });
}

const optionCases: readonly (readonly [
  target: string,
  normalize: boolean,
  merge: boolean,
  action: EscapedSlashesAction,
  expected: ReturnType<typeof normalizePath>,
])[] = [
  ["//a///b", true, true, "UNESCAPE_AND_REDIRECT", { kind: "ok", path: "/a/b" }],
  ["/a%2Fb?q=1", true, true, "UNESCAPE_AND_REDIRECT", { kind: "redirect", path: "/a/b?q=1" }],
  ["/a%5Cb", true, true, "UNESCAPE_AND_REDIRECT", { kind: "redirect", path: "/a/b" }],
  ["/a%2Fb", true, false, "REJECT_REQUEST", { kind: "escaped", path: "/a/b" }],
  ["/a?b=%2F", true, false, "REJECT_REQUEST", { kind: "ok", path: "/a?b=%2F" }],
  ["/a/..%2f../b", true, false, "UNESCAPE_AND_FORWARD", { kind: "ok", path: "/b" }],
  ["/a%2f%2Fb//", true, true, "UNESCAPE_AND_FORWARD", { kind: "ok", path: "/a/b/" }],
  ["/a//b?x=//", false, true, "KEEP_UNCHANGED", { kind: "ok", path: "/a/b?x=//" }],
  ["/a/../%2e\\", false, false, "KEEP_UNCHANGED", { kind: "ok", path: "/a/../%2e\\" }],
  ["/a%5cb", false, false, "UNESCAPE_AND_FORWARD", { kind: "ok", path: "/a\\b" }],
  ["/a#b", false, false, "KEEP_UNCHANGED", { kind: "reject" }],
];

for (const [target, normalize, merge, escapedSlashesAction, expected] of optionCases) {
  test(`${target} with normalize=${normalize} merge=${merge} ${escapedSlashesAction}: ${JSON.stringify(expected)}`, () => {
    assert.deepEqual(normalizePath(target, { normalizePath: normalize, mergeSlashes: merge, escapedSlashesAction }), expected);
  });
}

test("normalising is idempotent, and what is called normal does not change, for any mix of the characters that matter", () => {
  const alphabet = [
    "/",
    "/",
    ".",
    ".",
    "%",
    "2",
    "e",
    "F",
    "f",
    "5",
    "c",
    "a",
    "\\",
    ";",
    "?",
    "0",
    "%2e",
    "%2F",
    "%25",
    "%30",
    "|",
    "\x7f",
    "\xe9",
  ];
  const all = { normalizePath: true, mergeSlashes: true, escapedSlashesAction: "UNESCAPE_AND_FORWARD" } as const;
  let state = 7;
  const next = (bound: number): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % bound;
  for (let round = 0; round < 20_000; round++) {
    let target = "/";
    for (let n = next(12); n > 0; n--) target += alphabet[(next(1 << 16) >>> 4) % alphabet.length]!;
    const once = normalizePath(target, plain);
    if (once.kind !== "ok") continue;
    assert.match(once.path, /^\//, target);
    assert.deepEqual(normalizePath(once.path, plain), once, target);
    const path = once.path.split("?")[0]!;
    assert.ok(!/\/\.{1,2}(;[^/]*)?(\/|$)/.test(path), `${target} became ${path}`);
    if (isNormalPath(target)) {
      assert.equal(once.path, target);
      assert.deepEqual(normalizePath(target, all), once, target);
    }
  }
});
