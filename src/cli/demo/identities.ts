// The demo's certificates: one root, an intermediate for each cluster, one certificate for each workload; made anew for each run.
import path from "node:path";
import type { Result } from "../../error.ts";
import { AUTHORITY_TTL_MS, createIntermediateCa, createRootCa, issueWorkload, WORKLOAD_TTL_MS } from "../../identity/ca/authority.ts";
import type { CertificateAuthority } from "../../identity/ca/authority.ts";
import { writeWorkload } from "../../identity/ca/ca-files.ts";
import type { Workload } from "./mesh-copy.ts";

/** Istio's default. */
const trustDomain = "cluster.local";

/** Writes a certificate for each workload and returns its folder by the workload's key. */
export function issueIdentities(
  workloads: Readonly<Record<string, Workload>>,
  folder: string,
  nowMs: number,
): Readonly<Record<string, string>> {
  const root = createRootCa({ nowMs, ttlMs: AUTHORITY_TTL_MS });
  const intermediates = new Map<string, CertificateAuthority>();
  const folders: Record<string, string> = {};
  for (const [key, { cluster, namespace, serviceAccount }] of Object.entries(workloads)) {
    const signer = intermediates.get(cluster) ?? expect(createIntermediateCa(root, { nowMs, ttlMs: AUTHORITY_TTL_MS, cluster }));
    intermediates.set(cluster, signer);
    const certificate = expect(issueWorkload(signer, { nowMs, ttlMs: WORKLOAD_TTL_MS, trustDomain, namespace, serviceAccount }));
    folders[key] = path.join(folder, key);
    expect(writeWorkload(folders[key], certificate, {}));
  }
  return folders;
}

function expect<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  throw new Error(result.issues.map(({ message }) => message).join("; "));
}
