// Who issues a workload's certificate: the cluster's intermediate in a folder, or istiod.
import type { TlsCertificate } from "../../envoy/tls/tls.ts";
import type { WorkloadIdentity } from "../ca/spiffe-id.ts";

/** A certificate and the roots that go with it, or one sentence on what is in the way. */
export type Issued =
  | { readonly ok: true; readonly certificate: TlsCertificate; readonly trustedCa: string }
  /** `fatal`: the set-up is wrong, so a proxy that starts had better say so and end. */
  | { readonly ok: false; readonly fatal: boolean; readonly problem: string };

/** Issues certificates; never rejects. */
export interface CertificateIssuer {
  issue(identity: WorkloadIdentity): Promise<Issued>;
  close?(): void;
}
