// The certificates of a benchmark, made anew for each run: a self-signed one for the TLS upstream, a mesh identity for both ends of mTLS.
import { generateKeyPairSync } from "node:crypto";
import forge from "node-forge";
import { AUTHORITY_TTL_MS, createRootCa, issueWorkload, WORKLOAD_TTL_MS } from "../../src/identity/ca/authority.ts";
import type { BenchCertificate, MeshCertificate } from "./load/messages.ts";

/** Makes an RSA certificate for `host`, good for a day. */
export function makeCertificate(host: string): BenchCertificate {
  const pair = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(pair.publicKey);
  certificate.serialNumber = "01";
  certificate.validity.notBefore = new Date(Date.now() - 3_600_000);
  certificate.validity.notAfter = new Date(Date.now() + 86_400_000);
  const name = [{ name: "commonName", value: host }];
  certificate.setSubject(name);
  certificate.setIssuer(name);
  certificate.setExtensions([
    { name: "basicConstraints", cA: true },
    { name: "subjectAltName", altNames: [{ type: 2, value: host }] },
  ]);
  certificate.sign(forge.pki.privateKeyFromPem(pair.privateKey), forge.md.sha256.create());
  return { certificate: forge.pki.certificateToPem(certificate), key: pair.privateKey };
}

/** Makes an ECDSA P-256 workload certificate that also names `host`, below a root of its own. */
export function makeMeshCertificate(host: string): MeshCertificate {
  const nowMs = Date.now();
  const root = createRootCa({ nowMs, ttlMs: AUTHORITY_TTL_MS });
  const identity = { trustDomain: "cluster.local", namespace: "bench", serviceAccount: "bench" };
  const issued = issueWorkload(root, { nowMs, ttlMs: WORKLOAD_TTL_MS, dns: [host], ...identity });
  if (!issued.ok) throw new Error(issued.issues.map(({ message }) => message).join("; "));
  const { chain, key } = issued.value;
  return {
    certificate: chain.map(String).join(""),
    key: key.export({ type: "pkcs8", format: "pem" }).toString(),
    root: root.certificate.toString(),
  };
}
