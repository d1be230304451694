import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CLOCK_SKEW_MS,
  WORKLOAD_TTL_MS,
  createIntermediateCa,
  createKeyPair,
  createRootCa,
  issueWorkload,
  type CertificateAuthority,
  type WorkloadCertificate,
} from "../../../../src/identity/ca/authority.ts";
import { findExtension, oid, signCertificate } from "../../../../src/identity/ca/certificate.ts";
import { describeCertificate, parseChain } from "../../../../src/identity/ca/describe.ts";
import { verifyChain } from "../../../../src/identity/ca/verify.ts";
import type { Result } from "../../../../src/error.ts";

const DAY_MS = 86_400_000;
const nowMs = Date.parse("2026-11-21T12:00:00Z");

function value<T>(result: Result<T>): T {
  assert.ok(result.ok, JSON.stringify(result.issues));
  return result.value;
}

const root = createRootCa({ nowMs, ttlMs: 3650 * DAY_MS });
const cluster1 = value(createIntermediateCa(root, { nowMs, ttlMs: 365 * DAY_MS, cluster: "cluster1" }));
const sleep = { trustDomain: "cluster.local", namespace: "default", serviceAccount: "sleep" };
const workload = value(issueWorkload(cluster1, { ...sleep, nowMs, ttlMs: WORKLOAD_TTL_MS, dns: ["sleep.default.svc"] }));

test("a root signs itself and is a CA without limit", () => {
  const said = describeCertificate(root.certificate);
  assert.equal(said.subject, "O=Istio, CN=Root CA");
  assert.equal(said.issuer, said.subject);
  assert.equal(said.isCa, true);
  assert.equal(said.pathLength, null);
  assert.equal(said.authorityKeyId, said.subjectKeyId);
  assert.deepEqual(said.keyUsage, ["digitalSignature", "keyCertSign", "cRLSign"]);
  assert.ok(root.certificate.verify(root.certificate.publicKey));
});

test("an intermediate names its cluster and lets no CA below it", () => {
  const said = describeCertificate(cluster1.certificate);
  assert.equal(said.subject, "O=Istio, CN=Intermediate CA, L=cluster1");
  assert.equal(said.issuer, "O=Istio, CN=Root CA");
  assert.equal(said.pathLength, 0);
  assert.deepEqual(said.dnsNames, ["istiod.istio-system.svc"]);
  assert.equal(said.authorityKeyId, describeCertificate(root.certificate).subjectKeyId);
  assert.ok(cluster1.certificate.checkIssued(root.certificate) && cluster1.certificate.verify(root.certificate.publicKey));
});

test("a workload has no subject, its identity as critical name, and serves and connects", () => {
  const said = describeCertificate(workload.certificate);
  assert.deepEqual(
    { ...said, serialNumber: 0, fingerprintSha256: 0, subjectKeyId: 0 },
    {
      subject: "",
      issuer: "O=Istio, CN=Intermediate CA, L=cluster1",
      serialNumber: 0,
      notBefore: new Date(nowMs - CLOCK_SKEW_MS).toISOString(),
      notAfter: new Date(nowMs + WORKLOAD_TTL_MS).toISOString(),
      uris: ["spiffe://cluster.local/ns/default/sa/sleep"],
      dnsNames: ["sleep.default.svc"],
      ipAddresses: [],
      isCa: false,
      pathLength: null,
      keyUsage: ["digitalSignature", "keyEncipherment"],
      extendedKeyUsage: ["serverAuth", "clientAuth"],
      publicKey: "EC prime256v1",
      fingerprintSha256: 0,
      subjectKeyId: 0,
      authorityKeyId: describeCertificate(cluster1.certificate).subjectKeyId,
    },
  );
  const critical = (id: string): boolean | undefined => findExtension(workload.certificate, id)?.critical;
  assert.deepEqual(
    [critical(oid.subjectAltName), critical(oid.keyUsage), critical(oid.basicConstraints), critical(oid.extendedKeyUsage)],
    [true, true, true, false],
  );
  assert.equal(findExtension(cluster1.certificate, oid.subjectAltName)?.critical, false);
  assert.equal(workload.certificate.signatureAlgorithm, "ecdsa-with-SHA256");
  assert.ok(workload.certificate.checkPrivateKey(workload.key));
});

test("RSA authorities and workloads are made when asked for, and kinds mix", () => {
  const rsaRoot = createRootCa({ nowMs, ttlMs: DAY_MS, keyKind: "rsa" });
  const mixed = value(createIntermediateCa(rsaRoot, { nowMs, ttlMs: DAY_MS, cluster: "c", keyKind: "ec" }));
  const leaf = value(issueWorkload(mixed, { ...sleep, nowMs, ttlMs: DAY_MS, keyKind: "rsa" }));
  assert.equal(describeCertificate(rsaRoot.certificate).publicKey, "RSA 4096");
  assert.equal(mixed.certificate.signatureAlgorithm, "sha256WithRSAEncryption");
  assert.equal(describeCertificate(leaf.certificate).publicKey, "RSA 2048");
  assert.deepEqual(verifyChain({ chain: leaf.chain, roots: [rsaRoot.certificate], nowMs, key: leaf.key }), []);
});

test("serial numbers are positive, of 128 bits, and never the same", () => {
  const serials = new Set<string>();
  for (let i = 0; i < 64; i++) serials.add(value(issueWorkload(cluster1, { ...sleep, nowMs, ttlMs: DAY_MS })).certificate.serialNumber);
  assert.equal(serials.size, 64);
  for (const serial of serials) assert.match(serial, /^[4-7][0-9A-F]{31}$/);
});

test("dates from 2050 on are readable", () => {
  const late = createRootCa({ nowMs, ttlMs: 40 * 365 * DAY_MS });
  assert.equal(late.certificate.validToDate.getTime(), nowMs + 40 * 365 * DAY_MS);
});

test("no certificate outlives its signer, and being cut is said", () => {
  const cut = issueWorkload(cluster1, { ...sleep, nowMs, ttlMs: 4000 * DAY_MS });
  assert.equal(value(cut).certificate.validTo, cluster1.certificate.validTo);
  assert.deepEqual(
    cut.issues.map(({ severity }) => severity),
    ["warning"],
  );
  assert.deepEqual(issueWorkload(cluster1, { ...sleep, nowMs, ttlMs: DAY_MS }).issues, []);
});

test("an expired authority signs nothing", () => {
  const later = nowMs + 366 * DAY_MS;
  assert.equal(issueWorkload(cluster1, { ...sleep, nowMs: later, ttlMs: DAY_MS }).ok, false);
  assert.equal(createIntermediateCa(root, { nowMs: nowMs + 4000 * DAY_MS, ttlMs: DAY_MS, cluster: "c" }).ok, false);
});

test("identities and names that would say something else in a certificate are refused", () => {
  const bad = [
    { ...sleep, namespace: "a/sa/b" },
    { ...sleep, serviceAccount: "" },
    { ...sleep, serviceAccount: ".." },
    { ...sleep, trustDomain: "Cluster.Local" },
    { ...sleep, trustDomain: "a\u0000b" },
    { ...sleep, dns: ["a b"] },
    { ...sleep, dns: ["a\u0000.example.com"] },
    { ...sleep, dns: [""] },
  ];
  for (const options of bad) assert.equal(issueWorkload(cluster1, { ...options, nowMs, ttlMs: DAY_MS }).ok, false, JSON.stringify(options));
});

const other = createRootCa({ nowMs, ttlMs: 3650 * DAY_MS });
/** An intermediate below an intermediate, which the path length forbids, and we refuse to make. */
const deep: CertificateAuthority = forbiddenAuthority();
const tooDeep: WorkloadCertificate = value(issueWorkload(deep, { ...sleep, nowMs, ttlMs: DAY_MS }));
function forbiddenAuthority(): CertificateAuthority {
  const refused = createIntermediateCa(cluster1, { nowMs, ttlMs: DAY_MS, cluster: "deep" });
  assert.ok(!refused.ok);
  const { privateKey, publicKey } = createKeyPair("ec", 0);
  const certificate = signCertificate(
    {
      subject: { commonName: "deep" },
      publicKey,
      notBeforeMs: nowMs,
      notAfterMs: nowMs + DAY_MS,
      ca: { pathLength: 0 },
      keyUsage: ["keyCertSign"],
      extendedKeyUsage: [],
      uris: [],
      dnsNames: [],
    },
    cluster1,
  );
  return { ...cluster1, key: privateKey, certificate, chain: [certificate, ...cluster1.chain] };
}

/** A workload that signs as though it were an authority. */
const impostor = value(issueWorkload({ ...workload, chain: workload.chain }, { ...sleep, serviceAccount: "admin", nowMs, ttlMs: DAY_MS }));

const verdicts: readonly (readonly [string, Parameters<typeof verifyChain>[0], RegExp | undefined])[] = [
  ["a good chain", { chain: workload.chain, roots: [root.certificate], nowMs, key: workload.key }, undefined],
  ["a chain that ends with the root", { chain: [...workload.chain, root.certificate], roots: [root.certificate], nowMs }, undefined],
  ["a root by itself", { chain: [root.certificate], roots: [root.certificate], nowMs }, undefined],
  ["a good chain among several roots", { chain: workload.chain, roots: [other.certificate, root.certificate], nowMs }, undefined],
  [
    "the right identity",
    { chain: workload.chain, roots: [root.certificate], nowMs, identity: "spiffe://cluster.local/ns/default/sa/sleep" },
    undefined,
  ],
  [
    "another identity",
    { chain: workload.chain, roots: [root.certificate], nowMs, identity: "spiffe://cluster.local/ns/default/sa/slee" },
    /identity/,
  ],
  ["another root of the same name", { chain: workload.chain, roots: [other.certificate], nowMs }, /issued it/],
  ["a chain without its intermediate", { chain: [workload.certificate], roots: [root.certificate], nowMs }, /issued it/],
  ["an unknown self-signed certificate", { chain: [other.certificate], roots: [root.certificate], nowMs }, /trusted root|issued it/],
  ["another's key", { chain: workload.chain, roots: [root.certificate], nowMs, key: cluster1.key }, /private key/],
  ["a chain before its time", { chain: workload.chain, roots: [root.certificate], nowMs: nowMs - DAY_MS }, /not valid before/],
  ["a chain after its time", { chain: workload.chain, roots: [root.certificate], nowMs: nowMs + 2 * DAY_MS }, /expired/],
  ["a chain longer than its path length", { chain: tooDeep.chain, roots: [root.certificate], nowMs }, /path length/],
  ["a chain through an end entity", { chain: impostor.chain, roots: [root.certificate], nowMs }, /without being a CA/],
  ["an empty chain", { chain: [], roots: [root.certificate], nowMs }, /empty/],
];
for (const [what, chain, message] of verdicts) {
  test(`${what} is ${message ? "refused" : "verified"}`, () => {
    const issues = verifyChain(chain);
    if (message) assert.match(issues.map((issue) => issue.message).join("; "), message);
    else assert.deepEqual(issues, []);
  });
}

test("a chain is read from PEM in its order, and what is not one is refused by its place", () => {
  const pem = workload.chain.map((certificate) => certificate.toString());
  const read = parseChain(`junk\n${pem.join("between\n")}`);
  assert.deepEqual(
    value(read).map(({ fingerprint256 }) => fingerprint256),
    workload.chain.map(({ fingerprint256 }) => fingerprint256),
  );
  const broken = pem[1]!.replace(/\n[A-Za-z0-9+/]{20}/, "\nAAAAAAAAAAAAAAAAAAAA");
  for (const [text, message] of [
    ["", /no PEM certificate/],
    [workload.key.export({ type: "pkcs8", format: "pem" }).toString(), /no PEM certificate/],
    [pem[0]! + broken, /certificate 2 of 2/],
    [pem[0]!.repeat(65), /more than 64/],
  ] as const) {
    const refused = parseChain(text);
    assert.ok(!refused.ok);
    assert.match(refused.issues[0]!.message, message);
  }
});

test("whatever bytes of a certificate are changed, it is refused or described", () => {
  let state = 20261121;
  const random = (limit: number): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % limit;
  let described = 0;
  for (let round = 0; round < 3000; round++) {
    const der = Buffer.from((round % 2 ? workload : cluster1).certificate.raw);
    for (let changes = 1 + random(2); changes > 0; changes--) der[random(der.length)] = random(256);
    const read = parseChain(`-----BEGIN CERTIFICATE-----\n${der.toString("base64")}\n-----END CERTIFICATE-----\n`);
    if (!read.ok) continue;
    describeCertificate(read.value[0]!);
    verifyChain({ chain: [...read.value, cluster1.certificate], roots: [root.certificate], nowMs });
    described++;
  }
  assert.ok(described > 100, String(described));
});
