// Secrets that come and change by themselves while a proxy runs: issued, sent by an SDS server, or read from files that rotate.
import type { Secret, TlsCertificate } from "../../envoy/tls/tls.ts";

/** What a feed has to say when it begins. `fatal`: waiting does not help, the set-up is wrong. */
export type FeedStart = { readonly ok: true } | { readonly ok: false; readonly fatal: boolean; readonly problems: readonly string[] };

/** A source of secrets. It reports its own troubles to the process log, and keeps what it had. */
export interface SecretFeed {
  /** What there is now; the same list until it changes. */
  readonly secrets: readonly Secret[];
  /** True when everything it is asked for is there. */
  readonly ready: boolean;
  /** Begins. Resolves after the first attempt, or when waiting for it has become too long. */
  start(): Promise<FeedStart>;
  /** Looks at once whether there is something else now. False when there is and it cannot be used; what takes long is not waited for. */
  refresh(): Promise<boolean>;
  close(): void;
}

/** What a feed of one workload's certificate holds: all of it or nothing. */
export abstract class WorkloadSecrets {
  protected held: readonly Secret[] = [];
  protected closed = false;

  get secrets(): readonly Secret[] {
    return this.held;
  }

  get ready(): boolean {
    return this.held.length > 0;
  }
}

/** Istio's names of the secrets of a workload. */
export const workloadSecretNames = { certificate: "default", roots: "ROOTCA" } as const;

/** A workload's certificate and its trusted roots (PEM) as the secrets that Istio's configuration refers to. */
export function workloadSecrets(certificate: TlsCertificate, trustedCa: string): readonly Secret[] {
  return [
    { name: workloadSecretNames.certificate, certificate },
    {
      name: workloadSecretNames.roots,
      validation: {
        trustedCa,
        matchSubjectAltNames: [],
        verifyCertificateHash: [],
        verifyCertificateSpki: [],
        allowExpiredCertificate: false,
        acceptUntrusted: false,
      },
    },
  ];
}
