// Why two workloads of meshes with different roots cannot talk, in words that say what to do: whose root is missing where. Envoy's
// reason stays in front. Only for the mesh's own roots (secret ROOTCA): elsewhere nobody knows which file they are from.
import type { X509Certificate } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { CommonTlsContext } from "../envoy/tls/tls.ts";
import type { Logger } from "../telemetry/logger.ts";
import type { Material } from "./context/material.ts";
import type { VerifyFailure } from "./failure-reason.ts";
import { workloadSecretNames } from "./workload/secret-feed.ts";
import { readCertificateNames } from "./x509/certificate-names.ts";

/** TLS alert unknown_ca (RFC 8446, section 6.2). */
const unknownCa = 48;
/** Longer chains say no more. */
const maxChain = 16;
/** The same refusal is logged once in this time. */
const repeatMs = 60_000;
/** As many different refusals are remembered; beyond, all are logged. */
const maxRemembered = 64;

const missing = (root: string, where: string): string => `certificate signed by unknown authority: ${root} is not in ${where}`;

/** What a mesh's transport says of authorities. */
export interface RootHints {
  /** About a peer that was refused; undefined when its authority is not what is wrong. */
  ofPeer(failure: VerifyFailure, certificate: X509Certificate): string | undefined;
  /** About this side, when the peer refused it for its authority. `code` is Node's error code. */
  ofSelf(code: string | undefined): string | undefined;
}

const noHints: RootHints = { ofPeer: () => undefined, ofSelf: () => undefined };

/** Hints for one version of a context's material. */
export function createRootHints(common: CommonTlsContext, material: Material): RootHints {
  if (common.validationSecret !== workloadSecretNames.roots) return noHints;
  const chain = certificatesOf(material.certificates[0]?.certificateChain ?? "").map((der) => readCertificateNames(der));
  const own = clusterOf(chain.flatMap(({ subject, issuer }) => [issuer, subject]));
  const where = own === undefined ? "root-cert.pem" : `${own}'s root-cert.pem`;
  const ownRoot = own === undefined ? `the issuer ${chain.at(-1)?.issuer ?? "of this certificate"}` : `root of ${own}`;
  return {
    ofPeer: (failure, certificate) =>
      failure.kind === "error" && failure.alert === unknownCa ? missing(rootOf(certificate), where) : undefined,
    ofSelf: (code) => (code === "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA" ? missing(ownRoot, "the peer's root-cert.pem") : undefined),
  };
}

// Intermediates have their cluster as locality; the root itself is mostly not sent, and other authorities have no cluster.
function rootOf(leaf: X509Certificate): string {
  const names: string[] = [];
  let certificate: X509Certificate | undefined = leaf;
  for (let i = 0; certificate !== undefined && i < maxChain; i++) {
    const { subject, issuer } = readCertificateNames(certificate.raw);
    names.push(subject, issuer);
    const above: X509Certificate | undefined = certificate.issuerCertificate;
    certificate = above?.fingerprint256 === certificate.fingerprint256 ? undefined : above;
  }
  const cluster = clusterOf(names);
  return cluster === undefined ? `the issuer ${names.at(-1) || "without a name"}` : `root of ${cluster}`;
}

function clusterOf(names: readonly string[]): string | undefined {
  for (const name of names) {
    const [, cluster] = /(?:^|,)L=((?:[^,\\+]|\\.)+)/.exec(name) ?? [];
    if (cluster !== undefined) return cluster;
  }
  return undefined;
}

function certificatesOf(pem: string): readonly Buffer[] {
  const blocks = pem.matchAll(/-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END/g);
  return Array.from(blocks, ([, body = ""]) => Buffer.from(body, "base64"));
}

/** Says a refusal in the process log, once a minute for each kind: a client that tries all the time fills no disk. */
export class RefusalLog {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #saidMs = new Map<string, number>();

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** @param side whose certificate it was: `server` or `client`, or `own` for one that a peer refused */
  refused(side: "server" | "client" | "own", reason: string, peer: string): void {
    const nowMs = this.#clock.nowMs();
    const key = `${side} ${reason} ${peer}`;
    const saidMs = this.#saidMs.get(key);
    if (saidMs !== undefined && nowMs - saidMs < repeatMs) return;
    if (this.#saidMs.size >= maxRemembered) this.#saidMs.clear();
    this.#saidMs.set(key, nowMs);
    const what = side === "own" ? "own certificate refused by the peer" : `${side} certificate refused`;
    this.#logger.warn(what, { reason, peer });
  }
}
