import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { createRootCa } from "../../../src/identity/ca/authority.ts";
import { KnownCertificates } from "../../../src/identity/known-certificate.ts";

const certificate = (commonName: string): X509Certificate =>
  new X509Certificate(createRootCa({ nowMs: Date.UTC(2026, 0, 1), ttlMs: 3_600_000, organization: commonName }).certificate.toString());

test("a certificate that comes again is known, another is not taken for it", () => {
  const known = new KnownCertificates();
  const [one, other] = [certificate("one"), certificate("other")];
  const first = known.read(one);
  assert.equal(known.read(new X509Certificate(one.raw)), first);
  assert.notEqual(known.read(other), first);
  assert.equal(first.sha256, one.fingerprint256.replaceAll(":", "").toLowerCase());
  assert.equal(first.serialNumber, one.serialNumber.toLowerCase());
  assert.match(first.names.subject, /one/);
  assert.match(known.read(other).names.subject, /other/);
});
