import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { systemRoots } from "../../../src/proxy/system-roots.ts";

suite("the roots of the machine", () => {
  test("are where SSL_CERT_FILE says", () => assert.deepEqual(systemRoots({ SSL_CERT_FILE: "/x.pem" }), { filename: "/x.pem" }));
  test("are a bundle or text otherwise", () => {
    const { filename, inline_string: text } = systemRoots({});
    assert.match(String(filename ?? text), /\.(crt|pem)$|BEGIN CERTIFICATE/);
  });
});
