// Certificates of a folder (--certs) as the secrets `default` and `ROOTCA`, and checks that say what to do about a
// certificate that cannot serve.
import { X509Certificate, createPrivateKey } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Resources } from "../envoy/bootstrap.ts";
import type { Cluster } from "../envoy/cluster/cluster.ts";
import type { Listener } from "../envoy/listener/listener.ts";
import { KeptFlat, KeptMap } from "../kept-list.ts";
import type { CommonTlsContext, Secret, TlsCertificate } from "../envoy/tls/tls.ts";
import type { Issue } from "../error.ts";
import type { ResourceIssue } from "../snapshot/resource-issue.ts";
import type { MeshView } from "../source/mesh/mesh-view.ts";
import type { LocatedIssue } from "../source/yaml-document.ts";
import { workloadSecrets } from "../identity/workload/secret-feed.ts";

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
  return { ok: true, secrets: workloadSecrets({ certificateChain: chain, privateKey: key }, root) };
}

/** What keeps any own certificate of the configuration from serving now, each once. */
export function checkCertificates(resources: Resources, nowMs: number): readonly string[] {
  return [...new Set(certificateIssues(resources, nowMs).map(({ message }) => message))];
}

/** The same with the resource and the place in it that has the certificate. */
export function certificateIssues({ secrets, listeners, clusters }: Resources, nowMs: number): readonly ResourceIssue[] {
  const ofSecrets = secrets.flatMap(({ name, certificate }): readonly PlacedCertificate[] =>
    certificate ? [{ certificate, kind: "secrets", name, path: ["tls_certificate"] }] : [],
  );
  const all = [
    ...ofSecrets,
    ...flat.of(ofListeners.map(certificateIssues, listeners, [], listenerCertificates)),
    ...flat.of(ofClusters.map(certificateIssues, clusters, [], clusterCertificates)),
  ];
  return all.flatMap(({ certificate, kind, name, path }) =>
    checkCertificate(certificate, `of ${singular[kind]} ${name}`, nowMs).map((message): ResourceIssue => {
      return { severity: "error", kind, name, occurrence: 0, path, message };
    }),
  );
}

/** A certificate and where it stands. */
interface PlacedCertificate extends Pick<ResourceIssue, "name" | "path"> {
  readonly certificate: TlsCertificate;
  readonly kind: keyof typeof singular;
}

const singular = { secrets: "secret", listeners: "listener", clusters: "cluster" } as const;

// Few of a mesh's thousands of resources bring a certificate of their own.
const ofListeners = new KeptMap<Listener, readonly PlacedCertificate[]>();
const ofClusters = new KeptMap<Cluster, readonly PlacedCertificate[]>();
const flat = new KeptFlat<PlacedCertificate>();

function listenerCertificates({ name, filterChains, defaultFilterChain }: Listener): readonly PlacedCertificate[] {
  const certificates = filterChains.flatMap(({ transportSocket }, index) =>
    socketCertificates(transportSocket, "listeners", name, ["filter_chains", index]),
  );
  if (defaultFilterChain === undefined) return certificates;
  return [...certificates, ...socketCertificates(defaultFilterChain.transportSocket, "listeners", name, ["default_filter_chain"])];
}

function clusterCertificates({ name, transportSocket, transportSocketMatches }: Cluster): readonly PlacedCertificate[] {
  const matches = transportSocketMatches.flatMap((match, index) =>
    socketCertificates(match.transportSocket, "clusters", name, ["transport_socket_matches", index]),
  );
  return [...socketCertificates(transportSocket, "clusters", name, []), ...matches];
}

function socketCertificates(
  socket: { readonly kind: string; readonly tls?: { readonly common: CommonTlsContext } },
  kind: PlacedCertificate["kind"],
  name: string,
  path: Issue["path"],
): readonly PlacedCertificate[] {
  if (socket.tls === undefined) return none;
  const inContext = [...path, "transport_socket", "typed_config", "common_tls_context", "tls_certificates"];
  return socket.tls.common.certificates.map((certificate, index) => ({ certificate, kind, name, path: [...inContext, index] }));
}

const none: readonly PlacedCertificate[] = [];

/** The same for the Secrets that a mesh's Gateways name, where each is written. */
export function gatewayCertificateIssues(mesh: Pick<MeshView, "gateways" | "clusters">, nowMs: number): readonly LocatedIssue[] {
  const servers = mesh.gateways.flatMap(({ spec }) => spec.servers);
  const named = new Set(servers.flatMap(({ tls }) => tls?.credentialNames ?? []).map((name) => name.slice(name.lastIndexOf("/") + 1)));
  return mesh.clusters
    .flatMap(({ secrets }) => secrets)
    .filter(({ meta }) => named.has(meta.name))
    .flatMap(({ meta, spec: { certificate } }) => {
      if (certificate === undefined) return [];
      const { chain, privateKey } = certificate;
      return checkCertificate({ certificateChain: chain, privateKey }, `of Secret ${meta.namespace}/${meta.name}`, nowMs).map(
        (message): LocatedIssue => ({ severity: "error", path: [], ...meta.source, message }),
      );
    });
}

/** What keeps a certificate from serving now: unreadable, expired, not yet valid, another key. `where` names it in messages. */
function checkCertificate(certificate: TlsCertificate, where: string, nowMs: number): readonly string[] {
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
