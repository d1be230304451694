// Certificates as /certs shows them.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { certsJson } from "../../../src/admin/certs-page.ts";
import type { Resources } from "../../../src/envoy/bootstrap.ts";
import { makeCa } from "../../support/certs.ts";

interface Certificate {
  readonly path: string;
  readonly days_until_expiration: string;
  readonly subject_alt_names: readonly unknown[];
}

suite("/certs", () => {
  const ca = makeCa();
  const issued = ca.issue({ uri: ["spiffe://cluster.local/ns/a/sa/b"], dns: ["b.a"], notAfterMs: 49 * 3_600_000 });
  const validation = {
    trustedCa: ca.cert,
    matchSubjectAltNames: [],
    verifyCertificateHash: [],
    verifyCertificateSpki: [],
    allowExpiredCertificate: false,
    acceptUntrusted: false,
  };
  const certificate = { certificateChain: issued.chain, privateKey: issued.key };
  const resources: Resources = {
    listeners: [],
    clusters: [],
    routes: [],
    endpoints: [],
    secrets: [
      { name: "default", certificate },
      { name: "again", certificate },
      { name: "ROOTCA", validation },
      { name: "odd", validation: { ...validation, trustedCa: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----" } },
    ],
  };

  test("lists each chain and authority once, with names and what is left of its life", () => {
    const { certificates } = certsJson(resources, Date.now()) as { certificates: { ca_cert: Certificate[]; cert_chain: Certificate[] }[] };
    assert.equal(certificates.length, 3);
    const [leaf, root, odd] = certificates;
    assert.deepEqual(leaf?.cert_chain[0]?.subject_alt_names, [{ uri: "spiffe://cluster.local/ns/a/sa/b" }, { dns: "b.a" }]);
    assert.equal(leaf?.cert_chain[0]?.days_until_expiration, "2");
    assert.equal(root?.ca_cert[0]?.path, "secret ROOTCA");
    assert.deepEqual(odd, { ca_cert: [], cert_chain: [] }, "what cannot be read is left out");
  });

  test("an expired certificate has no days left", () => {
    const { certificates } = certsJson(resources, Date.now() + 1000 * 86_400_000) as { certificates: { cert_chain: Certificate[] }[] };
    assert.equal(certificates[0]?.cert_chain[0]?.days_until_expiration, "0");
  });
});
