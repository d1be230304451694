import assert from "node:assert/strict";
import { suite, test } from "node:test";
import {
  authoritySecret,
  credentialSecret,
  fileAuthoritySecret,
  fileCertificateSecret,
  secretOrigin,
} from "../../../../../src/source/mesh/tls/secrets.ts";

suite("names of secrets", () => {
  for (const [name, origin] of [
    [fileCertificateSecret("/c.pem", "/k.pem"), { kind: "file-certificate", certificate: "/c.pem", privateKey: "/k.pem" }],
    [fileAuthoritySecret("/ca.pem"), { kind: "file-authorities", path: "/ca.pem" }],
    [fileAuthoritySecret("system"), { kind: "file-authorities", path: "system" }],
    [credentialSecret("a"), { kind: "kubernetes", credential: "a" }],
    [credentialSecret("kubernetes://a"), { kind: "kubernetes", credential: "a" }],
    [authoritySecret("a"), { kind: "kubernetes", credential: "a-cacert" }],
    ["default", undefined],
    ["ROOTCA", undefined],
  ] as const)
    test(name, () => assert.deepEqual(secretOrigin(name), origin));
});
