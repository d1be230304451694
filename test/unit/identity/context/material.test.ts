// Secrets as they are published, and the material that contexts make of them.
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { MaterialSource } from "../../../../src/identity/context/material.ts";
import { SecretStore } from "../../../../src/identity/secret-store.ts";
import { commonTls, validation, versionedSecret } from "../../../support/tls-models.ts";

const certificate = { certificateChain: "chain", privateKey: "key" };
const exact = (value: string) => ({ sanType: "URI", matcher: { kind: "exact", value, ignoreCase: false } }) as const;

suite("secrets", () => {
  test("listeners hear of what changed, once a publish, until they leave", () => {
    const store = new SecretStore();
    const heard: (readonly string[])[] = [];
    const leave = store.onChange((names) => heard.push(names));
    const first = versionedSecret("a", "1", { certificate });
    store.apply({ set: [first, versionedSecret("b", "1", {})], removed: [] });
    store.apply({ set: [versionedSecret("a", "1", {})], removed: ["unknown"] });
    assert.equal(store.get("a"), first);
    store.apply({ set: [versionedSecret("a", "2", {})], removed: ["b"] });
    leave();
    store.apply({ set: [], removed: ["a"] });
    assert.deepEqual(heard, [
      ["a", "b"],
      ["a", "b"],
    ]);
  });
});

suite("material of a context", () => {
  test("is there only with all its secrets, and is the same object until one changes", () => {
    const store = new SecretStore();
    const source = new MaterialSource(commonTls(undefined, { certificateSecrets: ["default"], validationSecret: "ROOTCA" }), store);
    assert.equal(source.get(), undefined);
    store.apply({ set: [versionedSecret("default", "1", { certificate })], removed: [] });
    assert.equal(source.get(), undefined);
    store.apply({ set: [versionedSecret("ROOTCA", "1", { validation: validation({ trustedCa: "ca" }) })], removed: [] });
    const material = source.get();
    assert.deepEqual([material?.certificates, material?.validation?.trustedCa], [[certificate], "ca"]);
    store.apply({ set: [versionedSecret("unrelated", "1", {})], removed: [] });
    assert.equal(source.get(), material);
    store.apply({ set: [versionedSecret("default", "2", { certificate })], removed: [] });
    assert.notEqual(source.get(), material);
    store.apply({ set: [], removed: ["ROOTCA"] });
    assert.equal(source.get(), undefined);
  });

  test("a secret of the wrong kind is a missing one", () => {
    const store = new SecretStore();
    store.apply({ set: [versionedSecret("default", "1", { validation: validation() })], removed: [] });
    assert.equal(new MaterialSource(commonTls(undefined, { certificateSecrets: ["default"] }), store).get(), undefined);
  });

  test("a combined validation joins lists and lets the secret's single values win", () => {
    const store = new SecretStore();
    const base = validation({ trustedCa: "old", crl: "crl", matchSubjectAltNames: [exact("a")], verifyCertificateHash: ["1"] });
    const over = validation({ trustedCa: "new", matchSubjectAltNames: [exact("b")], acceptUntrusted: true });
    store.apply({ set: [versionedSecret("ROOTCA", "1", { validation: over })], removed: [] });
    const source = new MaterialSource(commonTls(undefined, { validation: base, validationSecret: "ROOTCA" }), store);
    assert.deepEqual(source.get()?.validation, {
      trustedCa: "new",
      crl: "crl",
      matchSubjectAltNames: [exact("a"), exact("b")],
      verifyCertificateHash: ["1"],
      verifyCertificateSpki: [],
      allowExpiredCertificate: false,
      acceptUntrusted: true,
    });
  });
});
