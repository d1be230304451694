// Certificates of the command line (--certs) as the secrets `default` and `ROOTCA`, and checks that say what to do about a
// certificate that cannot serve.
import { X509Certificate, createPrivateKey } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Resources } from "../envoy/bootstrap.ts";
import type { Cluster } from "../envoy/cluster/cluster.ts";
import type { Listener } from "../envoy/listener/listener.ts";
import { KeptFlat, KeptMap } from "../kept-list.ts";
import type { CommonTlsContext, Secret, TlsCertificate } from "../envoy/tls/tls.ts";

/** The secrets of a folder, or one sentence for each thing wrong. */
export type CertificatesResult =
  | { readonly ok: true; readonly secrets: readonly Secret[] }
  | { readonly ok: false; readonly problems: readonly string[] };

/** Istio's names in a folder of workload certificates. */
const names = { chain: "cert-chain.pem", key: "key.pem", root: "root-cert.pem" };

/** Reads `cert-chain.pem`, `key.pem` and `root-cert.pem`. */
export async function loadCertificates(folder: string, nowMs: number): Promise<CertificatesResult> {
  const problems: string[] = [];
  const read = async (name: string): Promise<string> => {
    const path = join(folder, name);
    try {
      return await readFile(path, "utf8");
    } catch (thrown) {
      const { code } = thrown as NodeJS.ErrnoException;
      const why =
        code === "ENOENT"
          ? "is missing: make it with isthmus ca workload"
          : code === "EACCES"
            ? "cannot be read: give this user permission"
            : `cannot be read: ${String(thrown)}`;
      problems.push(`certificate file ${path} ${why}`);
      return "";
    }
  };
  const [chain, key, root] = await Promise.all([read(names.chain), read(names.key), read(names.root)]);
  if (problems.length === 0) {
    const certificate = { certificateChain: chain, privateKey: key };
    problems.push(...checkCertificate(certificate, join(folder, names.chain), nowMs), ...checkBundle(root, join(folder, names.root)));
  }
  if (problems.length > 0) return { ok: false, problems };
  return {
    ok: true,
    secrets: [
      { name: "default", certificate: { certificateChain: chain, privateKey: key } },
      {
        name: "ROOTCA",
        validation: {
          trustedCa: root,
          matchSubjectAltNames: [],
          verifyCertificateHash: [],
          verifyCertificateSpki: [],
          allowExpiredCertificate: false,
          acceptUntrusted: false,
        },
      },
    ],
  };
}

/** What keeps any own certificate of the configuration from serving now. */
export function checkCertificates(resources: Resources, nowMs: number): readonly string[] {
  const problems = new Set<string>();
  const ofSecrets = resources.secrets.flatMap(({ name, certificate }) =>
    certificate ? [{ certificate, where: `of secret ${name}` }] : [],
  );
  const all = [
    ...ofSecrets,
    ...flat.of(ofListeners.map(checkCertificates, resources.listeners, [], listenerCertificates)),
    ...flat.of(ofClusters.map(checkCertificates, resources.clusters, [], clusterCertificates)),
  ];
  for (const { certificate, where } of all) for (const problem of checkCertificate(certificate, where, nowMs)) problems.add(problem);
  return [...problems];
}

/** A certificate and how messages name it. */
interface PlacedCertificate {
  readonly certificate: TlsCertificate;
  readonly where: string;
}

// Few of a mesh's thousands of resources bring a certificate of their own.
const ofListeners = new KeptMap<Listener, readonly PlacedCertificate[]>();
const ofClusters = new KeptMap<Cluster, readonly PlacedCertificate[]>();
const flat = new KeptFlat<PlacedCertificate>();

function listenerCertificates({ name, filterChains, defaultFilterChain }: Listener): readonly PlacedCertificate[] {
  const chains = defaultFilterChain ? [...filterChains, defaultFilterChain] : filterChains;
  return chains.flatMap(({ transportSocket }) => socketCertificates(transportSocket, `of listener ${name}`));
}

function clusterCertificates({ name, transportSocket, transportSocketMatches }: Cluster): readonly PlacedCertificate[] {
  const sockets = [transportSocket, ...transportSocketMatches.map((match) => match.transportSocket)];
  return sockets.flatMap((socket) => socketCertificates(socket, `of cluster ${name}`));
}

function socketCertificates(
  socket: { readonly kind: string; readonly tls?: { readonly common: CommonTlsContext } },
  where: string,
): readonly PlacedCertificate[] {
  return socket.tls === undefined ? none : socket.tls.common.certificates.map((certificate) => ({ certificate, where }));
}

const none: readonly PlacedCertificate[] = [];

/** What keeps a certificate from serving now: unreadable, expired, not yet valid, another key. `where` names it in messages. */
export function checkCertificate(certificate: TlsCertificate, where: string, nowMs: number): readonly string[] {
  const unusable = unusableCertificate(certificate, where);
  const leaf = parseLeaf(certificate);
  if (leaf === undefined) return unusable === undefined ? [] : [unusable];
  const problems: string[] = [];
  if (leaf.validToDate.getTime() <= nowMs)
    problems.push(`certificate ${where} expired on ${leaf.validToDate.toISOString()}: issue a new one (isthmus ca workload)`);
  if (leaf.validFromDate.getTime() > nowMs)
    problems.push(`certificate ${where} is not valid before ${leaf.validFromDate.toISOString()}: check this machine's clock`);
  return unusable === undefined ? problems : [...problems, unusable];
}

/** Why a certificate can never serve, whatever the time: unreadable, or another's key. Undefined when it can. */
export function unusableCertificate(certificate: TlsCertificate, where: string): string | undefined {
  const leaf = parseLeaf(certificate);
  if (leaf === undefined) return `certificate ${where} is no PEM certificate: make it anew with isthmus ca workload`;
  try {
    const key = createPrivateKey({
      key: certificate.privateKey,
      ...(certificate.password === undefined ? {} : { passphrase: certificate.password }),
    });
    return leaf.checkPrivateKey(key)
      ? undefined
      : `the private key does not belong to certificate ${where}: put the two of one issue together`;
  } catch {
    // OpenSSL's words may quote the input; the sentence is enough.
    return `the private key of certificate ${where} cannot be read: it must be PEM, and its password must be given if it has one`;
  }
}

function parseLeaf(certificate: TlsCertificate): X509Certificate | undefined {
  try {
    return new X509Certificate(certificate.certificateChain);
  } catch {
    return undefined;
  }
}

function checkBundle(pem: string, where: string): readonly string[] {
  try {
    return new X509Certificate(pem).ca ? [] : [`${where} is no certificate authority: give the root of the mesh`];
  } catch {
    return [`${where} is no PEM certificate: give the root of the mesh`];
  }
}
