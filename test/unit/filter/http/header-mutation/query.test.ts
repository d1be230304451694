import assert from "node:assert/strict";
import { test } from "node:test";
import { changeQuery, type QueryChange } from "../../../../../src/filter/http/header-mutation/query.ts";
import { ConnectionInfo, StreamInfo } from "../../../../../src/telemetry/stream-info.ts";

const nowhere = { ip: "127.0.0.1", port: 0 };
const info = new StreamInfo(new ConnectionInfo(1, 0, 0, nowhere, nowhere), 0, 0);
const append = (key: string, value: string, action: "APPEND_IF_EXISTS_OR_ADD" | "OVERWRITE_IF_EXISTS_OR_ADD"): QueryChange => ({
  kind: "append",
  key,
  action,
  value: () => value,
});

for (const [title, path, change, expected] of [
  ["removes the last parameter with its mark", "/a?x=1", { kind: "remove", key: "x" }, "/a"],
  ["knows a name in escapes", "/a?%78=1&y", { kind: "remove", key: "x" }, "/a?y"],
  ["keeps escapes and bare names as they are", "/a?b=%0d%0a&a", append("z", "", "APPEND_IF_EXISTS_OR_ADD"), "/a?a&b=%0d%0a&z="],
  ["escapes what it adds", "/a", append("k", "a b\r\n%é", "APPEND_IF_EXISTS_OR_ADD"), "/a?k=a%20b%0D%0A%25%E9"],
  ["keeps the order of equal names", "/a?x=2&x=1", append("x", "3", "APPEND_IF_EXISTS_OR_ADD"), "/a?x=2&x=1&x=3"],
  ["replaces all of a name", "/a?x=2&x=1", append("x", "3", "OVERWRITE_IF_EXISTS_OR_ADD"), "/a?x=3"],
] as const)
  test(title, () => assert.equal(changeQuery(path, [change], info), expected));
