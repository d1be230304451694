// A root and clusters' intermediates as folders, as `isthmus ca` writes them.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  AUTHORITY_TTL_MS,
  createIntermediateCa,
  createRootCa,
  issueWorkload,
  type CertificateAuthority,
  type WorkloadCertificate,
} from "../../../src/identity/ca/authority.ts";
import { writeIntermediateCa, writeWorkload } from "../../../src/identity/ca/ca-files.ts";
import type { Result } from "../../../src/error.ts";

/** Where what a test makes goes with it: a TestContext is one. */
export interface Ending {
  after(end: () => Promise<void> | void): void;
}

/** The value of a result that has to be one. */
export function valueOf<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  throw new Error(result.issues.map(({ message }) => message).join("; "));
}

/** A folder that goes when the test ends. */
export function temporaryFolder(t: Ending): string {
  const folder = mkdtempSync(join(tmpdir(), "isthmus-identity-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A root of ten years. */
export function makeRoot(organization = "Istio"): CertificateAuthority {
  return createRootCa({ nowMs: Date.now(), ttlMs: AUTHORITY_TTL_MS, organization });
}

/** A cluster's intermediate; trusts `roots` beside its own. */
export function makeIntermediate(
  root: CertificateAuthority,
  cluster: string,
  roots: readonly CertificateAuthority[] = [root],
): CertificateAuthority {
  const made = valueOf(createIntermediateCa(root, { nowMs: Date.now(), ttlMs: AUTHORITY_TTL_MS, cluster }));
  return { ...made, roots: roots.map(({ certificate }) => certificate) };
}

/** A workload's certificate in namespace `default`. */
export function makeWorkload(authority: CertificateAuthority, serviceAccount: string, ttlMs = 3_600_000): WorkloadCertificate {
  const identity = { trustDomain: "cluster.local", namespace: "default", serviceAccount };
  return valueOf(issueWorkload(authority, { ...identity, nowMs: Date.now(), ttlMs }));
}

/** Writes, or replaces, an intermediate's folder. */
export function placeAuthority(folder: string, authority: CertificateAuthority): void {
  valueOf(writeIntermediateCa(folder, authority, { force: true }));
}

/** Writes, or replaces, a workload's folder. */
export function placeWorkload(folder: string, workload: WorkloadCertificate): void {
  valueOf(writeWorkload(folder, workload, { force: true }));
}

/** A workload's material as PEM. */
export function pemOf(workload: WorkloadCertificate): { readonly chain: string; readonly key: string; readonly roots: string } {
  const pem = (certificates: WorkloadCertificate["chain"]): string => certificates.map(String).join("");
  return {
    chain: pem(workload.chain),
    key: workload.key.export({ type: "pkcs8", format: "pem" }).toString(),
    roots: pem(workload.roots),
  };
}
