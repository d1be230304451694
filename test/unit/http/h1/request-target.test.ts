import assert from "node:assert/strict";
import { test } from "node:test";
import { readTarget } from "../../../../src/http/h1/request-target.ts";
import { Head } from "../../../../src/wire/http1-head.ts";

const cases: readonly (readonly [string, string, string | undefined, string, string | undefined])[] = [
  ["GET", "/a?b", "host", "/a?b", "host"],
  ["GET", "/a", undefined, "/a", undefined],
  ["OPTIONS", "*", "host", "*", "host"],
  ["CONNECT", "lab:80", "other", "lab:80", "lab:80"],
  ["GET", "http://lab/abs?q", "other", "/abs?q", "lab"],
  ["GET", "https://lab:8443", undefined, "/", "lab:8443"],
  ["GET", "http://lab?q=/x", "other", "?q=/x", "lab"],
  ["GET", "http://u:p@lab:81/x", "other", "/x", "lab:81"],
  ["GET", "http://u@lab", "other", "/", "lab"],
];
for (const [method, target, host, path, authority] of cases) {
  test(`${method} ${target} with Host ${host ?? "absent"}`, () => {
    assert.deepEqual(readTarget(Object.assign(new Head(), { method, target, host })), { path, authority });
  });
}
