// The certificates that the Gateways of a proxy name, as Envoy secrets: from Kubernetes Secrets of the proxy's own namespace and
// cluster, and from files. They hold private keys, so they are no part of a translation, which is printed.
import type { Node } from "../../../envoy/bootstrap.ts";
import type { Json } from "../envoy-json.ts";
import { asksForCertificate, type ServerTls, terminatesTls } from "../istio/server-tls.ts";
import type { MeshView } from "../mesh-view.ts";
import { describeProxy } from "../proxy.ts";
import type { KubernetesSecret } from "../registry/kubernetes-secret.ts";
import { labelsMatch } from "../registry/service.ts";
import { authoritySecret, credentialSecret, fileAuthoritySecret, fileCertificateSecret } from "../tls/secrets.ts";

/** The secrets of a gateway proxy as Envoy JSON, none for what is missing. Never write them to a log or a page. */
export function translateSecrets(mesh: MeshView, node: Node): readonly Json[] {
  const proxy = describeProxy(node);
  if (proxy.type !== "router") return [];
  const cluster = mesh.clusters.find(({ name }) => name === proxy.cluster);
  const own = new Map(
    (cluster?.secrets ?? []).flatMap(({ meta, spec }) => (meta.namespace === proxy.namespace ? [[meta.name, spec]] : [])),
  );
  const secrets = new Map<string, Json>();
  for (const { spec } of mesh.gateways) {
    if (!labelsMatch(spec.selector, proxy.labels)) continue;
    for (const { tls } of spec.servers)
      if (terminatesTls(tls))
        for (const secret of secretsOf(tls, (name) => findSecret(own, proxy.namespace, name))) secrets.set(secret.name, secret);
  }
  return [...secrets.values()];
}

type NamedJson = Json & { readonly name: string };
type FindSecret = (name: string) => KubernetesSecret | undefined;

function secretsOf(tls: ServerTls, find: FindSecret): readonly NamedJson[] {
  const asks = asksForCertificate(tls);
  const [first] = tls.credentialNames;
  const { files } = tls;
  if (first === undefined) {
    if (files === undefined) return [];
    const certificate = fileCertificate(fileCertificateSecret(files.certificate, files.privateKey), files.certificate, files.privateKey);
    return asks
      ? [certificate, { name: fileAuthoritySecret(files.authorities), validation_context: { trusted_ca: { filename: files.authorities } } }]
      : [certificate];
  }
  const certificates = tls.credentialNames.flatMap((name) => {
    const certificate = find(name)?.certificate;
    return certificate === undefined ? [] : [inlineCertificate(credentialSecret(name), certificate)];
  });
  if (!asks) return certificates;
  const authorities = tls.authorityCredential === "" ? authoritiesOf(first, find) : find(tls.authorityCredential);
  const name = tls.authorityCredential === "" ? authoritySecret(first) : credentialSecret(tls.authorityCredential);
  return authorities?.authorities === undefined
    ? certificates
    : [...certificates, inlineAuthorities(name, authorities.authorities, authorities.revocations)];
}

/** A Secret of its own for authorities, `NAME-cacert`, goes before those beside the certificate. */
export function authoritiesOf(credential: string, find: FindSecret): KubernetesSecret | undefined {
  return find(`${credential}-cacert`) ?? find(credential);
}

/** A credential by its name, which may be written with its kind and namespace; another namespace's is none of the proxy's. */
export function findSecret(
  own: ReadonlyMap<string, KubernetesSecret>,
  namespace: string,
  credential: string,
): KubernetesSecret | undefined {
  const name = credential.replace(/^kubernetes:\/\//, "");
  const slash = name.indexOf("/");
  if (slash < 0) return own.get(name);
  return name.slice(0, slash) === namespace ? own.get(name.slice(slash + 1)) : undefined;
}

function inlineCertificate(name: string, { chain, privateKey }: { readonly chain: string; readonly privateKey: string }): NamedJson {
  return { name, tls_certificate: { certificate_chain: { inline_string: chain }, private_key: { inline_string: privateKey } } };
}

function fileCertificate(name: string, chain: string, privateKey: string): NamedJson {
  return { name, tls_certificate: { certificate_chain: { filename: chain }, private_key: { filename: privateKey } } };
}

function inlineAuthorities(name: string, authorities: string, revocations: string | undefined): NamedJson {
  const crl = revocations === undefined ? {} : { crl: { inline_string: revocations } };
  return { name, validation_context: { trusted_ca: { inline_string: authorities }, ...crl } };
}
