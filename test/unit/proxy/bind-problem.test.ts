// Sentences about addresses that cannot be bound.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { bindProblem } from "../../../src/proxy/bind-problem.ts";

suite("bind problem", () => {
  for (const [code, expected] of [
    ["EADDRINUSE", /^admin server: \[::1\]:80 is already in use: stop the process that listens there or give --admin another port$/],
    ["EACCES", /no permission to listen on \[::1\]:80: give --admin a port from 1024 up/],
    ["EADDRNOTAVAIL", /this machine has no address ::1: /],
    ["EMFILE", /cannot listen on \[::1\]:80: said so$/],
  ] as const) {
    test(code, () => {
      const thrown = Object.assign(new Error("said so"), { code });
      assert.match(bindProblem("admin server", "--admin", { address: "::1", port: 80 }, thrown), expected);
    });
  }
});
