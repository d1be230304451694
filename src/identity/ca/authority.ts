// Certificate authorities of a mesh: a root, an intermediate a cluster, workloads below. In memory only: files are ca-files.ts.
import { generateKeyPairSync, type KeyObject, type X509Certificate } from "node:crypto";
import type { Issue, Result } from "../../error.ts";
import { oid, signCertificate, type CertificateSpec } from "./certificate.ts";
import { pathLength } from "./describe.ts";
import { formatSpiffeId, isWorkloadIdentity, type WorkloadIdentity } from "./spiffe-id.ts";

/** `ec`: ECDSA P-256; `rsa`: 4096 bits for authorities, 2048 for workloads, as Istio's tools have it. */
export type KeyKind = "ec" | "rsa";

/** A certificate authority able to sign. */
export interface CertificateAuthority {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
  /** The way from `certificate` up to below the root; empty when it is the root itself. */
  readonly chain: readonly X509Certificate[];
  readonly root: X509Certificate;
  /** Every root that is trusted beside it, itself included: two while one root takes over from another. */
  readonly roots: readonly X509Certificate[];
}

/** A workload's certificate with its key. */
export interface WorkloadCertificate {
  readonly certificate: X509Certificate;
  readonly key: KeyObject;
  /** The certificate and the intermediates above it: what a TLS server sends. */
  readonly chain: readonly X509Certificate[];
  readonly root: X509Certificate;
  /** Every root that its peers' certificates may lead to. */
  readonly roots: readonly X509Certificate[];
}

/** What every certificate here is made with. */
export interface IssueOptions {
  /** The present, in milliseconds since the epoch. */
  readonly nowMs: number;
  /** Milliseconds of life; cut at the end of the signer's. */
  readonly ttlMs: number;
  /** Default `ec`. */
  readonly keyKind?: KeyKind;
}

/** An authority's name. */
export interface AuthorityOptions extends IssueOptions {
  /** Default `Istio`. */
  readonly organization?: string;
}

/** A workload's identity and its optional host names. */
export interface WorkloadOptions extends IssueOptions, WorkloadIdentity {
  /** DNS names beside the identity. Default none. */
  readonly dns?: readonly string[];
}

/** Milliseconds a certificate is valid before it is made, for clocks that run behind: Istio's ClockSkewGracePeriod. */
export const CLOCK_SKEW_MS = 120_000;
/** Milliseconds an authority lives: ten years, as in Istio's tools/certs. */
export const AUTHORITY_TTL_MS = 3650 * 86_400_000;
/** Milliseconds a workload certificate lives: Istio's default, a day. */
export const WORKLOAD_TTL_MS = 86_400_000;

/** The host name that Istio puts into intermediates: istiod serves with certificates below them. */
const ISTIOD_HOST = "istiod.istio-system.svc";

/** A self-signed root. */
export function createRootCa(options: AuthorityOptions): CertificateAuthority {
  const { privateKey, publicKey } = createKeyPair(options.keyKind, 4096);
  const certificate = signCertificate(
    {
      ...authoritySpec(options, publicKey),
      subject: { organization: options.organization ?? "Istio", commonName: "Root CA" },
      notAfterMs: options.nowMs + options.ttlMs,
      ca: { pathLength: undefined },
      dnsNames: [],
    },
    { certificate: undefined, key: privateKey },
  );
  return { certificate, key: privateKey, chain: [], root: certificate, roots: [certificate] };
}

/** A cluster's intermediate. `pathLength`: how many authorities may stand below it; default 0, workloads only. */
export function createIntermediateCa(
  parent: CertificateAuthority,
  options: AuthorityOptions & { readonly cluster: string; readonly pathLength?: number },
): Result<CertificateAuthority> {
  const below = options.pathLength ?? 0;
  const limit = pathLength(parent.certificate);
  if (limit !== null && below >= limit) return refuse(`the signing certificate allows ${limit} authorities below it, not ${below + 1}`);
  const lifetime = clampLifetime(parent, options);
  if (!lifetime.ok) return lifetime;
  const { privateKey, publicKey } = createKeyPair(options.keyKind, 4096);
  const certificate = signCertificate(
    {
      ...authoritySpec(options, publicKey),
      subject: { organization: options.organization ?? "Istio", commonName: "Intermediate CA", locality: options.cluster },
      notAfterMs: lifetime.value,
      ca: { pathLength: below },
      dnsNames: [ISTIOD_HOST],
    },
    parent,
  );
  return {
    ...lifetime,
    value: { certificate, key: privateKey, chain: [certificate, ...parent.chain], root: parent.root, roots: parent.roots },
  };
}

/** A workload's certificate: no subject, the SPIFFE ID as critical alternative name, for both ends of a connection. */
export function issueWorkload(parent: CertificateAuthority, options: WorkloadOptions): Result<WorkloadCertificate> {
  const { privateKey, publicKey } = createKeyPair(options.keyKind, 2048);
  const certified = certifyWorkload(parent, publicKey, options);
  if (!certified.ok) return certified;
  const [certificate] = certified.value;
  return {
    ...certified,
    value: { certificate, key: privateKey, chain: certified.value, root: parent.root, roots: parent.roots },
  };
}

/** Certifies a key that somebody else holds. The value is the chain: the certificate, then what is above it below the root. */
export function certifyWorkload(
  parent: CertificateAuthority,
  publicKey: KeyObject,
  options: Omit<WorkloadOptions, "keyKind">,
): Result<readonly [X509Certificate, ...X509Certificate[]]> {
  if (!isWorkloadIdentity(options)) return refuse("the trust domain, namespace and service account cannot form a SPIFFE ID");
  const bad = (options.dns ?? []).find((name) => !/^(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/.test(name));
  if (bad !== undefined) return refuse(`${JSON.stringify(bad)} is not a DNS name`);
  const lifetime = clampLifetime(parent, options);
  if (!lifetime.ok) return lifetime;
  const certificate = signCertificate(
    {
      subject: {},
      publicKey,
      notBeforeMs: options.nowMs - CLOCK_SKEW_MS,
      notAfterMs: lifetime.value,
      ca: undefined,
      keyUsage: ["digitalSignature", "keyEncipherment"],
      extendedKeyUsage: [oid.serverAuth, oid.clientAuth],
      uris: [formatSpiffeId(options)],
      dnsNames: options.dns ?? [],
    },
    parent,
  );
  return { ...lifetime, value: [certificate, ...parent.chain] };
}

function authoritySpec(
  { nowMs }: AuthorityOptions,
  publicKey: KeyObject,
): Pick<CertificateSpec, "publicKey" | "notBeforeMs" | "keyUsage" | "extendedKeyUsage" | "uris"> {
  return {
    publicKey,
    notBeforeMs: nowMs - CLOCK_SKEW_MS,
    keyUsage: ["digitalSignature", "keyCertSign", "cRLSign"],
    extendedKeyUsage: [],
    uris: [],
  };
}

/** Makes a key pair; `rsaBits` is the size where the kind is RSA. */
export function createKeyPair(kind: KeyKind = "ec", rsaBits: number): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  return kind === "ec" ? generateKeyPairSync("ec", { namedCurve: "P-256" }) : generateKeyPairSync("rsa", { modulusLength: rsaBits });
}

/** The end of a new certificate's life: no certificate outlives its signer. */
function clampLifetime({ certificate }: CertificateAuthority, { nowMs, ttlMs }: IssueOptions): Result<number> {
  const endMs = certificate.validToDate.getTime();
  if (endMs <= nowMs) return refuse(`the signing certificate expired at ${certificate.validToDate.toISOString()}`);
  if (nowMs + ttlMs <= endMs) return { ok: true, value: nowMs + ttlMs, issues: [] };
  const issue: Issue = {
    severity: "warning",
    path: [],
    message: `the life was cut to ${certificate.validToDate.toISOString()}, when the signing certificate expires`,
  };
  return { ok: true, value: endMs, issues: [issue] };
}

function refuse(message: string): { readonly ok: false; readonly issues: readonly Issue[] } {
  return { ok: false, issues: [{ severity: "error", path: [], message }] };
}
