// SPIFFE identities as Istio writes them: spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT.

/** A workload's identity. */
export interface WorkloadIdentity {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/;
const SEGMENT = /^[A-Za-z0-9._-]{1,253}$/;

/** The identity's URI. */
export function formatSpiffeId({ trustDomain, namespace, serviceAccount }: WorkloadIdentity): string {
  return `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
}

/** Reads Istio's form of a SPIFFE ID; undefined when `text` is not one, be it by a single character (SPIFFE ID, section 2). */
export function parseSpiffeId(text: string): WorkloadIdentity | undefined {
  const match = /^spiffe:\/\/([^/]+)\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(text);
  if (!match) return undefined;
  const identity = { trustDomain: match[1]!, namespace: match[2]!, serviceAccount: match[3]! };
  return isWorkloadIdentity(identity) ? identity : undefined;
}

/** True when each part may stand in a SPIFFE ID: no separators, no dot segments, the trust domain in lower case. */
export function isWorkloadIdentity({ trustDomain, namespace, serviceAccount }: WorkloadIdentity): boolean {
  const segment = (text: string): boolean => SEGMENT.test(text) && text !== "." && text !== "..";
  return TRUST_DOMAIN.test(trustDomain) && segment(namespace) && segment(serviceAccount);
}
