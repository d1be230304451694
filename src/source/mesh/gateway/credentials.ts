// The certificates that the Gateways and the DestinationRules of a proxy name, as Envoy secrets: from Kubernetes Secrets of the proxy's
// own namespace and cluster, and from files. They hold private keys, so they are no part of a translation, which is printed.
import type { Node } from "../../../envoy/bootstrap.ts";
import type { Json } from "../envoy-json.ts";
import { asksForCertificate, type ServerTls, terminatesTls } from "../istio/server-tls.ts";
import type { MeshView } from "../mesh-view.ts";
import { describeProxy } from "../proxy.ts";
import type { KubernetesSecret } from "../registry/kubernetes-secret.ts";
import { labelsMatch } from "../registry/service.ts";
import { authoritySecret, credentialSecret, fileAuthoritySecret, fileCertificateSecret } from "../tls/secrets.ts";
import {
  authoritiesOf,
  clientSecrets,
  fileCertificate,
  type FindSecret,
  inlineAuthorities,
  inlineCertificate,
  type NamedJson,
} from "../tls/secret-content.ts";

/**
 * The secrets of a proxy as Envoy JSON, none for what is missing. Never write them to a log or a page.
 * @param clusters as they were translated for the same proxy
 * @param systemRoots a data source with the roots that the machine trusts
 */
export function translateSecrets(mesh: MeshView, node: Node, clusters: readonly Json[], systemRoots: Json): readonly Json[] {
  const proxy = describeProxy(node);
  const cluster = mesh.clusters.find(({ name }) => name === proxy.cluster);
  const own = new Map(
    (cluster?.secrets ?? []).flatMap(({ meta, spec }) => (meta.namespace === proxy.namespace ? [[meta.name, spec]] : [])),
  );
  const find: FindSecret = (name) => findSecret(own, proxy.namespace, name);
  const secrets = new Map<string, Json>();
  for (const { spec } of proxy.type === "router" ? mesh.gateways : []) {
    if (!labelsMatch(spec.selector, proxy.labels)) continue;
    for (const { tls } of spec.servers) if (terminatesTls(tls)) for (const secret of secretsOf(tls, find)) secrets.set(secret.name, secret);
  }
  for (const secret of clientSecrets(clusters, find, systemRoots)) secrets.set(secret.name, secret);
  return [...secrets.values()];
}

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
