// Authorities that other tools made: openssl's RSA intermediates, chains of several, PKCS#1 keys. And ours, as openssl reads them.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import type { KeyKind } from "../../../src/identity/ca/authority.ts";
import { createIntermediateCa, createRootCa, issueWorkload } from "../../../src/identity/ca/authority.ts";
import { writeIntermediateCa, writeRootCa, writeWorkload } from "../../../src/identity/ca/ca-files.ts";
import { createCaDirectoryIssuer } from "../../../src/identity/workload/ca-directory-issuer.ts";
import { placeAuthority, makeIntermediate, makeRoot, temporaryFolder, valueOf } from "../../support/identity/authorities.ts";

const skip = spawnSync("openssl", ["version"]).error ? "openssl is not on PATH" : false;
const identity = { trustDomain: "cluster.local", namespace: "default", serviceAccount: "sleep" };
const hourMs = 3_600_000;

function openssl(folder: string, ...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync("openssl", args, { cwd: folder, encoding: "utf8" });
  assert.equal(status, 0, `openssl ${args.join(" ")}: ${stderr}`);
  return stdout;
}

const caExtensions = (pathLength: string): string =>
  `basicConstraints=critical,CA:TRUE${pathLength}\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n`;

/** A root and `depth` intermediates below each other, by openssl; the lowest becomes an authority's folder. */
function foreignAuthority(t: TestContext, algorithm: readonly string[], depth: number, order: "up" | "with root" | "shuffled"): string {
  const folder = temporaryFolder(t);
  const name = (i: number): string => (i === 0 ? "root" : `intermediate${i}`);
  for (let i = 0; i <= depth; i++) {
    const own = name(i);
    openssl(folder, "genpkey", ...algorithm, "-out", `${own}.key`);
    openssl(folder, "req", "-new", "-key", `${own}.key`, "-subj", `/O=Example/CN=${own}`, "-out", `${own}.csr`);
    writeFileSync(join(folder, "extensions"), caExtensions(""));
    const signer = i === 0 ? ["-signkey", "root.key"] : ["-CA", `${name(i - 1)}.pem`, "-CAkey", `${name(i - 1)}.key`, "-CAcreateserial"];
    openssl(folder, "x509", "-req", "-in", `${own}.csr`, ...signer, "-days", "30", "-extfile", "extensions", "-out", `${own}.pem`);
  }
  const read = (file: string): string => readFileSync(join(folder, file), "utf8");
  const up = Array.from({ length: depth }, (_, i) => read(`${name(depth - i)}.pem`));
  const chain = order === "up" ? up : order === "with root" ? [...up, read("root.pem")] : [read("root.pem"), ...up.toReversed()];
  writeFileSync(join(folder, "ca-cert.pem"), up[0]!);
  writeFileSync(join(folder, "ca-key.pem"), read(`${name(depth)}.key`));
  writeFileSync(join(folder, "cert-chain.pem"), chain.join(""));
  writeFileSync(join(folder, "root-cert.pem"), read("root.pem"));
  return folder;
}

const rsa = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
const ec = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];

suite("authorities of other tools", { skip, timeout: 120_000 }, () => {
  for (const [what, algorithm, depth, order] of [
    ["an RSA intermediate", rsa, 1, "up"],
    ["a P-384 intermediate, its chain with the root", ec, 1, "with root"],
    ["three RSA intermediates", rsa, 3, "up"],
    ["three intermediates whose chain is the other way round", rsa, 3, "shuffled"],
  ] as const) {
    test(`${what} issues what openssl verifies`, async (t) => {
      const folder = foreignAuthority(t, algorithm, depth, order);
      const issued = await createCaDirectoryIssuer({ folder, ttlMs: hourMs }).issue(identity);
      assert.ok(issued.ok, issued.ok ? "" : issued.problem);
      writeFileSync(join(folder, "workload.pem"), issued.certificate.certificateChain);
      openssl(
        folder,
        "verify",
        "-x509_strict",
        "-purpose",
        "sslserver",
        "-CAfile",
        "root-cert.pem",
        "-untrusted",
        "workload.pem",
        "workload.pem",
      );
      assert.equal(issued.certificate.certificateChain.match(/BEGIN CERTIFICATE/g)?.length, depth + 1);
    });
  }

  test("a PKCS#1 key and a SEC1 key are read", async (t) => {
    for (const [algorithm, form] of [
      [rsa, "rsa"],
      [ec, "ec"],
    ] as const) {
      const folder = foreignAuthority(t, algorithm, 1, "up");
      openssl(folder, form, "-in", "ca-key.pem", ...(form === "rsa" ? ["-traditional"] : []), "-out", "ca-key.pem.new");
      const text = readFileSync(join(folder, "ca-key.pem.new"), "utf8");
      assert.match(text, form === "rsa" ? /BEGIN RSA PRIVATE KEY/ : /BEGIN EC PRIVATE KEY/);
      writeFileSync(join(folder, "ca-key.pem"), text);
      const issued = await createCaDirectoryIssuer({ folder, ttlMs: hourMs }).issue(identity);
      assert.ok(issued.ok, issued.ok ? "" : issued.problem);
    }
  });

  test("a chain with a gap is refused by name, and so is one to another root", async (t) => {
    const folder = foreignAuthority(t, rsa, 2, "up");
    const chain = readFileSync(join(folder, "cert-chain.pem"), "utf8");
    writeFileSync(join(folder, "cert-chain.pem"), readFileSync(join(folder, "ca-cert.pem")));
    const gap = await createCaDirectoryIssuer({ folder, ttlMs: hourMs }).issue(identity);
    assert.match(gap.ok ? "" : gap.problem, /cert-chain\.pem does not lead from ca-cert\.pem to a root of root-cert\.pem/);
    writeFileSync(join(folder, "cert-chain.pem"), chain);
    writeFileSync(join(folder, "root-cert.pem"), makeRoot().certificate.toString());
    const stranger = await createCaDirectoryIssuer({ folder, ttlMs: hourMs }).issue(identity);
    assert.match(stranger.ok ? "" : stranger.problem, /does not lead from ca-cert\.pem to a root/);
  });
});

suite("our authorities, as openssl reads them", { skip, timeout: 120_000 }, () => {
  for (const keyKind of ["ec", "rsa"] as const satisfies readonly KeyKind[]) {
    test(`${keyKind}: usages, path length and names are as they should be`, (t) => {
      const folder = temporaryFolder(t);
      const common = { nowMs: Date.now(), ttlMs: hourMs, keyKind };
      const root = createRootCa(common);
      const middle = valueOf(createIntermediateCa(root, { ...common, cluster: "region", pathLength: 1 }));
      const lowest = valueOf(createIntermediateCa(middle, { ...common, cluster: "cluster1" }));
      valueOf(writeRootCa(folder, root, {}));
      valueOf(writeIntermediateCa(join(folder, "middle"), middle, {}));
      valueOf(writeIntermediateCa(join(folder, "lowest"), lowest, {}));
      valueOf(writeWorkload(join(folder, "workload"), valueOf(issueWorkload(lowest, { ...common, ...identity })), {}));
      const text = (file: string): string => openssl(folder, "x509", "-in", file, "-noout", "-text");
      assert.match(text("root-cert.pem"), /X509v3 Key Usage: critical\s+Digital Signature, Certificate Sign, CRL Sign[^]*CA:TRUE\s/);
      assert.match(text("middle/ca-cert.pem"), /CA:TRUE, pathlen:1/);
      assert.match(text("lowest/ca-cert.pem"), /CA:TRUE, pathlen:0/);
      const workload = text("workload/cert-chain.pem");
      assert.match(workload, keyKind === "ec" ? /ASN1 OID: prime256v1/ : /Public-Key: \(2048 bit\)/);
      assert.match(workload, /Digital Signature, Key Encipherment[^]*TLS Web Server Authentication, TLS Web Client Authentication/);
      assert.match(workload, /Subject Alternative Name: critical\s+URI:spiffe:\/\/cluster\.local\/ns\/default\/sa\/sleep/);
      openssl(
        folder,
        "verify",
        "-x509_strict",
        "-CAfile",
        "root-cert.pem",
        "-untrusted",
        "lowest/cert-chain.pem",
        "workload/cert-chain.pem",
      );
      for (const key of ["root-key.pem", "lowest/ca-key.pem", "workload/key.pem"]) openssl(folder, "pkey", "-in", key, "-check", "-noout");
    });
  }

  test("an authority whose path length is used up makes no other", () => {
    const common = { nowMs: Date.now(), ttlMs: hourMs };
    const refused = createIntermediateCa(makeIntermediate(makeRoot(), "cluster1"), { ...common, cluster: "below" });
    assert.match(refused.ok ? "" : refused.issues[0]!.message, /the signing certificate allows 0 authorities below it, not 1/);
  });

  test("a bundle of two roots is written and read as it is", async (t) => {
    const folder = join(temporaryFolder(t), "ca");
    const [old, next] = [makeRoot("old"), makeRoot("next")];
    placeAuthority(folder, makeIntermediate(next, "cluster1", [old, next]));
    const issued = await createCaDirectoryIssuer({ folder, ttlMs: hourMs }).issue(identity);
    assert.ok(issued.ok);
    assert.equal(issued.trustedCa, old.certificate.toString() + next.certificate.toString());
  });
});
