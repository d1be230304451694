// Where in a script an error is, whatever was thrown.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { describeThrown } from "../../../../../../src/filter/http/script/thread/error-place.ts";

function withStack(stack: string | undefined, message = "no"): Error {
  return Object.assign(new Error(message), { stack });
}

suite("the place of an error", () => {
  for (const [title, thrown, text] of [
    [
      "is the first frame in a file",
      withStack("Error: no\n    at f (node:x:1:1)\n    at g (file:///f/a.ts:7:3)\n    at file:///f/b.ts:1:1"),
      "/f/a.ts:7: Error: no",
    ],
    ["is what a syntax error begins with", withStack("/f/a.ts:3\nexport (\n\nSyntaxError"), "/f/a.ts:3: Error: no"],
    ["is the module where nothing is known", withStack(undefined), "/m.ts: Error: no"],
    ["is followed by one line", withStack(undefined, "a\n  b"), "/m.ts: Error: a b"],
    ["is told of what is no error", "text", "/m.ts: threw text"],
    ["is told of nothing", undefined, "/m.ts: threw undefined"],
    [
      "is told of what cannot be printed",
      {
        toString: () => {
          throw new Error("never");
        },
      },
      "/m.ts: threw something that cannot be printed",
    ],
  ] as const) {
    test(title, () => assert.equal(describeThrown(thrown, "/m.ts"), text));
  }
});
