import assert from "node:assert/strict";
import { test } from "node:test";
import { readTarget } from "../../../../src/http/h1/request-target.ts";
import { Head } from "../../../../src/wire/http1-head.ts";

const cases: readonly (readonly [string, string, string | undefined, string, string | undefined, string?])[] = [
  ["GET", "/a?b", "host", "/a?b", "host"],
  ["GET", "/a", undefined, "/a", undefined],
  ["OPTIONS", "*", "host", "*", "host"],
  ["CONNECT", "lab:80", "other", "lab:80", "lab:80"],
  ["GET", "http://lab/abs?q", "other", "/abs?q", "lab", "http"],
  ["GET", "https://lab:8443", undefined, "/", "lab:8443", "https"],
  ["GET", "http://lab?q=/x", "other", "?q=/x", "lab", "http"],
  ["GET", "http://u:p@lab:81/x", "other", "/x", "lab:81", "http"],
  ["GET", "http://u@lab", "other", "/", "lab", "http"],
];
for (const [method, target, host, path, authority, scheme = ""] of cases) {
  test(`${method} ${target} with Host ${host ?? "absent"}`, () => {
    assert.deepEqual(readTarget(Object.assign(new Head(), { method, target, host })), { path, authority, scheme });
  });
}

test("a target in absolute form is a path where such are not allowed", () => {
  const head = Object.assign(new Head(), { method: "GET", target: "http://lab/x", host: "other" });
  assert.deepEqual(readTarget(head, false), { path: "http://lab/x", authority: "other", scheme: "" });
});
