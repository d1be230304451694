// Authorities and workload certificates as files: Istio's `cacerts` layout for an authority, the layout of `/etc/certs` for a
// workload. Private keys are readable by their owner only and never part of a message.
import { createPrivateKey, type KeyObject, type X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Result } from "../../error.ts";
import type { CertificateAuthority, WorkloadCertificate } from "./authority.ts";
import { parseChain } from "./describe.ts";

/** A root's files; an intermediate's (Istio's `cacerts` secret); a workload's. */
export const caFileNames = {
  root: { certificate: "root-cert.pem", key: "root-key.pem" },
  intermediate: { certificate: "ca-cert.pem", key: "ca-key.pem", chain: "cert-chain.pem", root: "root-cert.pem" },
  workload: { chain: "cert-chain.pem", key: "key.pem", root: "root-cert.pem" },
} as const;

/** How files are written. */
export interface WriteOptions {
  /** Replaces files that are there. Default false: then nothing is written at all. */
  readonly force?: boolean;
}

interface FileToWrite {
  readonly name: string;
  readonly text: string;
  readonly secret: boolean;
}

/** Writes a root: `root-cert.pem`, `root-key.pem`. The value is the paths written. */
export function writeRootCa(directory: string, ca: CertificateAuthority, options: WriteOptions): Result<readonly string[]> {
  const names = caFileNames.root;
  return writeFiles(directory, [keyFile(names.key, ca.key), certificateFile(names.certificate, [ca.certificate])], options);
}

/** Writes a cluster's intermediate: `ca-cert.pem`, `ca-key.pem`, `cert-chain.pem` (root included), `root-cert.pem`. */
export function writeIntermediateCa(directory: string, ca: CertificateAuthority, options: WriteOptions): Result<readonly string[]> {
  const names = caFileNames.intermediate;
  const files = [
    keyFile(names.key, ca.key),
    certificateFile(names.certificate, [ca.certificate]),
    certificateFile(names.chain, [...ca.chain, ca.root]),
    certificateFile(names.root, ca.roots),
  ];
  return writeFiles(directory, files, options);
}

/** Writes a workload's certificate: `cert-chain.pem` (without the root), `key.pem`, `root-cert.pem`. */
export function writeWorkload(directory: string, workload: WorkloadCertificate, options: WriteOptions): Result<readonly string[]> {
  const names = caFileNames.workload;
  const files = [
    keyFile(names.key, workload.key),
    certificateFile(names.chain, workload.chain),
    certificateFile(names.root, workload.roots),
  ];
  return writeFiles(directory, files, options);
}

/** Reads the authority in `directory`, an intermediate when there is one, a root otherwise. */
export function readAuthority(directory: string): Result<CertificateAuthority> {
  const { intermediate, root } = caFileNames;
  const isRoot = !existsSync(join(directory, intermediate.certificate));
  const certificates = readCertificates(join(directory, isRoot ? root.certificate : intermediate.certificate));
  if (!certificates.ok) return certificates;
  const key = readKey(join(directory, isRoot ? root.key : intermediate.key));
  if (!key.ok) return key;
  const certificate = certificates.value[0]!;
  if (!certificate.checkPrivateKey(key.value)) return refuse(`${directory}: the private key belongs to another certificate`);
  if (isRoot) {
    return { ok: true, value: { certificate, key: key.value, chain: [], root: certificate, roots: certificates.value }, issues: [] };
  }
  const chain = readCertificates(join(directory, intermediate.chain));
  if (!chain.ok) return chain;
  const roots = readCertificates(join(directory, intermediate.root));
  if (!roots.ok) return roots;
  const way = climb(certificate, [...certificates.value.slice(1), ...chain.value], roots.value);
  if (!way) {
    return refuse(`${directory}: ${intermediate.chain} does not lead from ${intermediate.certificate} to a root of ${intermediate.root}`);
  }
  return { ok: true, value: { certificate, key: key.value, ...way, roots: roots.value }, issues: [] };
}

// The way from a certificate up to a root, whatever the order in the file: tools write chains with and without the root, with
// and without the first certificate, and during a change of roots with what is needed no longer.
function climb(
  from: X509Certificate,
  candidates: readonly X509Certificate[],
  roots: readonly X509Certificate[],
): { readonly chain: readonly X509Certificate[]; readonly root: X509Certificate } | undefined {
  const issuerOf = (certificate: X509Certificate, among: readonly X509Certificate[]): X509Certificate | undefined =>
    among.find((candidate) => candidate.subject === certificate.issuer && certificate.verify(candidate.publicKey));
  const chain: X509Certificate[] = [];
  for (let certificate: X509Certificate | undefined = from; certificate && chain.length <= candidates.length;) {
    if (roots.some(({ fingerprint256 }) => fingerprint256 === certificate?.fingerprint256)) return { chain, root: certificate };
    chain.push(certificate);
    const root = issuerOf(certificate, roots);
    if (root) return { chain, root };
    certificate = issuerOf(
      certificate,
      candidates.filter((candidate) => !chain.includes(candidate)),
    );
  }
  return undefined;
}

/** Reads a file of PEM certificates, one at least. */
export function readCertificates(path: string): Result<readonly X509Certificate[]> {
  const text = readText(path);
  if (!text.ok) return text;
  const chain = parseChain(text.value);
  return chain.ok ? chain : refuse(`${path}: ${chain.issues[0]!.message}`);
}

/** Reads a PEM private key. What is wrong inside the file is not told: it is a secret. */
export function readKey(path: string): Result<KeyObject> {
  const text = readText(path);
  if (!text.ok) return text;
  try {
    return { ok: true, value: createPrivateKey(text.value), issues: [] };
  } catch {
    return refuse(`${path}: not an unencrypted PEM private key`);
  }
}

function readText(path: string): Result<string> {
  try {
    return { ok: true, value: readFileSync(path, "utf8"), issues: [] };
  } catch (error) {
    return refuse(`${path}: cannot be read (${errorCode(error)})`);
  }
}

function writeFiles(directory: string, files: readonly FileToWrite[], { force = false }: WriteOptions): Result<readonly string[]> {
  const paths = files.map(({ name }) => join(directory, name));
  const present = paths.find((path) => existsSync(path));
  if (present !== undefined && !force) return refuse(`${present} is there already; --force replaces it`);
  const temporary = paths.map((path) => `${path}.${process.pid}.new`);
  try {
    mkdirSync(directory, { recursive: true });
    // Under another name first: a reader never sees half a file, and a replaced key never keeps a wider mode.
    files.forEach(({ text, secret }, i) => writeFileSync(temporary[i]!, text, { mode: secret ? 0o600 : 0o644, flag: "wx" }));
    temporary.forEach((path, i) => renameSync(path, paths[i]!));
  } catch (error) {
    for (const path of temporary) rmSync(path, { force: true });
    return refuse(`${directory}: cannot be written (${errorCode(error)})`);
  }
  return { ok: true, value: paths, issues: [] };
}

function keyFile(name: string, key: KeyObject): FileToWrite {
  return { name, text: key.export({ type: "pkcs8", format: "pem" }).toString(), secret: true };
}

function certificateFile(name: string, certificates: readonly X509Certificate[]): FileToWrite {
  return { name, text: certificates.map((certificate) => certificate.toString()).join(""), secret: false };
}

function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown";
}

function refuse(message: string): { readonly ok: false; readonly issues: readonly { severity: "error"; path: []; message: string }[] } {
  return { ok: false, issues: [{ severity: "error", path: [], message }] };
}
