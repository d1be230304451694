// Envoy secrets with their content, by where they come from. They hold private keys: never write one to a log or a page.
import type { Json } from "../envoy-json.ts";
import type { KubernetesSecret, SecretCertificate } from "../registry/kubernetes-secret.ts";
import { secretOrigin } from "./secrets.ts";

/** An Envoy secret. */
export type NamedJson = Json & { readonly name: string };

/** Finds a Secret that the proxy may see by the name a configuration gives it. */
export type FindSecret = (name: string) => KubernetesSecret | undefined;

const authoritiesSuffix = "-cacert";

/** What the transport sockets of clusters refer to, each once; nothing for what is missing. */
export function clientSecrets(clusters: readonly Json[], find: FindSecret, systemRoots: Json): readonly NamedJson[] {
  const names = new Set(clusters.flatMap(referredBy));
  return [...names].flatMap((name) => contentOf(name, find, systemRoots) ?? []);
}

function contentOf(name: string, find: FindSecret, systemRoots: Json): NamedJson | undefined {
  const origin = secretOrigin(name);
  if (origin?.kind === "file-certificate") return fileCertificate(name, origin.certificate, origin.privateKey);
  if (origin?.kind === "file-authorities")
    return { name, validation_context: { trusted_ca: origin.path === "system" ? systemRoots : { filename: origin.path } } };
  if (origin === undefined) return undefined;
  if (!origin.credential.endsWith(authoritiesSuffix)) {
    const certificate = find(origin.credential)?.certificate;
    return certificate && inlineCertificate(name, certificate);
  }
  const found = authoritiesOf(origin.credential.slice(0, -authoritiesSuffix.length), find);
  return found?.authorities === undefined ? undefined : inlineAuthorities(name, found.authorities, found.revocations);
}

// Only what a rule asks for has a socket of its own; auto mTLS, the usual case, is told apart by one look.
function referredBy({ transport_socket: socket }: Json): readonly string[] {
  const context = child(child(child(socket, "typed_config"), "common_tls_context"), undefined);
  const certificates = context?.["tls_certificate_sds_secret_configs"];
  const authorities = child(child(context, "combined_validation_context"), "validation_context_sds_secret_config");
  const references = [...(Array.isArray(certificates) ? (certificates as readonly unknown[]) : []), authorities];
  return references.flatMap((reference) => {
    const name = child(reference, undefined)?.["name"];
    return typeof name === "string" ? [name] : [];
  });
}

function child(of: unknown, key: string | undefined): Json | undefined {
  if (typeof of !== "object" || of === null) return undefined;
  return key === undefined ? (of as Json) : child((of as Json)[key], undefined);
}

/** A Secret of its own for authorities, `NAME-cacert`, goes before those beside the certificate. */
export function authoritiesOf(credential: string, find: FindSecret): KubernetesSecret | undefined {
  return find(`${credential}-cacert`) ?? find(credential);
}

/** A certificate as text. */
export function inlineCertificate(name: string, { chain, privateKey, staple }: SecretCertificate): NamedJson {
  const stapled = staple === undefined ? {} : { ocsp_staple: { inline_bytes: staple } };
  return { name, tls_certificate: { certificate_chain: { inline_string: chain }, private_key: { inline_string: privateKey }, ...stapled } };
}

/** A certificate in files. */
export function fileCertificate(name: string, chain: string, privateKey: string): NamedJson {
  return { name, tls_certificate: { certificate_chain: { filename: chain }, private_key: { filename: privateKey } } };
}

/** Authorities and their revocation lists as text. */
export function inlineAuthorities(name: string, authorities: string, revocations: string | undefined): NamedJson {
  const crl = revocations === undefined ? {} : { crl: { inline_string: revocations } };
  return { name, validation_context: { trusted_ca: { inline_string: authorities }, ...crl } };
}
