// Node's socket errors in Envoy's words.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { ProxyError } from "../../../src/error.ts";
import { connectError, errnoOf } from "../../../src/net/errno.ts";

const errno = (code: string): Error => Object.assign(new Error(`connect ${code} 127.0.0.1:1`), { code });

suite("errno", () => {
  const connects: readonly (readonly [string, string, string])[] = [
    ["ECONNREFUSED", "upstream_connect_refused", "delayed connect error: Connection refused"],
    ["EHOSTUNREACH", "upstream_connect_failed", "delayed connect error: No route to host"],
    ["ETIMEDOUT", "upstream_connect_timeout", "delayed connect error: Connection timed out"],
    ["ENETUNREACH", "upstream_connect_failed", "immediate connect error: Network is unreachable"],
    ["ENOENT", "upstream_connect_failed", "immediate connect error: No such file or directory"],
    ["EADDRNOTAVAIL", "upstream_connect_failed", "immediate connect error: Cannot assign requested address"],
  ];
  for (const [code, expected, reason] of connects) {
    test(`a connect that fails with ${code} is ${expected} and may be tried again`, () => {
      const error = connectError(errno(code));
      assert.deepEqual([error.code, error.reason, error.side, error.retryable], [expected, reason, "upstream", true]);
    });
  }

  test("an error without a known name keeps its message", () => {
    assert.equal(connectError(new Error("odd")).reason, "immediate connect error: odd");
    assert.equal(connectError("odd").reason, "immediate connect error: odd");
  });

  test("what is a ProxyError already passes as it is", () => {
    const error = new ProxyError("upstream_overflow", { side: "upstream" });
    assert.equal(connectError(error), error);
  });

  test("the name is read from Node's errors only", () => {
    assert.deepEqual(
      [errnoOf(errno("EPIPE")), errnoOf(new Error("x")), errnoOf(undefined), errnoOf({ code: "EPIPE" })],
      ["EPIPE", "", "", ""],
    );
  });
});
