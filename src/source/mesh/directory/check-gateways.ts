// What Gateways ask for and do not get: servers that give way to others on their port, and certificates that are not there.
import { findSecret } from "../gateway/credentials.ts";
import { authoritiesOf } from "../tls/secret-content.ts";
import { mergeServers, type OwnServer } from "../gateway/merge-servers.ts";
import { asksForCertificate, terminatesTls } from "../istio/server-tls.ts";
import type { MeshView } from "../mesh-view.ts";
import type { FieldPath } from "../object/fields.ts";
import type { KubernetesSecret } from "../registry/kubernetes-secret.ts";
import { compareText, labelsMatch } from "../registry/service.ts";
import type { ObjectIssue } from "./object-issue.ts";

/** Labels of gateway proxies, and where they run. */
export interface GatewayWorkload {
  readonly labels: Readonly<Record<string, string>>;
  readonly namespace: string;
  readonly cluster: string;
}

const pathOf = ({ gateway, server }: OwnServer): FieldPath => ["spec", "servers", gateway.spec.servers.indexOf(server)];

/** Servers that are left out where Gateways with one selector share a port. */
export function checkServers(mesh: MeshView): readonly ObjectIssue[] {
  const groups = new Map<string, OwnServer[]>();
  for (const gateway of mesh.gateways) {
    const selector = JSON.stringify(Object.entries(gateway.spec.selector).toSorted(([a], [b]) => compareText(a, b)));
    const servers = gateway.spec.servers.map((server) => ({ gateway, server }));
    groups.set(selector, [...(groups.get(selector) ?? []), ...servers]);
  }
  return [...groups.values()].flatMap((servers) =>
    mergeServers(servers, (port) => port).skipped.map(({ own, reason }): ObjectIssue => {
      return { meta: own.gateway.meta, severity: "warning", path: pathOf(own), message: `is left out: ${reason}` };
    }),
  );
}

/** Credentials without a Secret in the namespace of a proxy that the Gateway selects. What is missing may still come. */
export function checkCredentials(mesh: MeshView, named: readonly GatewayWorkload[]): readonly ObjectIssue[] {
  const asking = mesh.gateways.filter(({ spec }) => spec.servers.some(({ tls }) => tls !== undefined && tls.credentialNames.length > 0));
  if (asking.length === 0) return [];
  const workloads = [...named, ...podsOf(mesh)];
  const secrets = new Map<string, Map<string, KubernetesSecret>>();
  const anywhere = new Map(mesh.clusters.flatMap((cluster) => cluster.secrets.map(({ meta, spec }) => [meta.name, spec] as const)));
  for (const { name, secrets: all } of mesh.clusters) {
    for (const { meta, spec } of all) {
      const place = `${name} ${meta.namespace}`;
      secrets.set(place, (secrets.get(place) ?? new Map()).set(meta.name, spec));
    }
  }
  return asking.flatMap((gateway) => {
    const places = new Map(
      workloads
        .filter(({ labels }) => labelsMatch(gateway.spec.selector, labels))
        .map(({ cluster, namespace }) => [`${cluster} ${namespace}`, { cluster, namespace }]),
    );
    // Where nothing says where the proxies run, a Secret of any namespace may be meant.
    if (places.size === 0) return problemsOf(gateway, (name) => anywhere.get(name.replace(/^.*\//, "")), "any namespace");
    return [...places].flatMap(([place, { cluster, namespace }]) => {
      const own = secrets.get(place) ?? new Map<string, KubernetesSecret>();
      return problemsOf(gateway, (name) => findSecret(own, namespace, name), `namespace ${namespace} of cluster ${cluster}`);
    });
  });
}

function problemsOf(
  gateway: OwnServer["gateway"],
  find: (name: string) => KubernetesSecret | undefined,
  where: string,
): readonly ObjectIssue[] {
  return gateway.spec.servers.flatMap((server) => serverProblems({ gateway, server }, find, where));
}

function podsOf(mesh: MeshView): readonly GatewayWorkload[] {
  return mesh.clusters.flatMap(({ name, pods }) =>
    pods.map(({ meta }) => ({ labels: meta.labels, namespace: meta.namespace, cluster: name })),
  );
}

function serverProblems(own: OwnServer, find: (name: string) => KubernetesSecret | undefined, where: string): readonly ObjectIssue[] {
  const { tls } = own.server;
  if (!terminatesTls(tls) || tls.credentialNames.length === 0) return [];
  const problem = (field: string, index: number | undefined, what: string): ObjectIssue => ({
    meta: own.gateway.meta,
    severity: "error",
    path: [...pathOf(own), "tls", field, ...(index === undefined ? [] : [index])],
    message: `${what} in ${where}: no handshake succeeds without it`,
  });
  const missing = tls.credentialNames.flatMap((name, index) => {
    const at = tls.credentialField === "credentialNames" ? index : undefined;
    const secret = find(name);
    if (secret === undefined) return [problem(tls.credentialField, at, `names Secret ${name}, which is not there`)];
    return secret.certificate === undefined
      ? [problem(tls.credentialField, at, `names Secret ${name}, which has no certificate and key`)]
      : [];
  });
  const [first = ""] = tls.credentialNames;
  if (!asksForCertificate(tls) || missing.length > 0) return missing;
  const given = tls.authorityCredential;
  const authorities = given === "" ? authoritiesOf(first, find) : find(given);
  if (authorities?.authorities !== undefined) return missing;
  const field = given === "" ? tls.credentialField : "caCertCredentialName";
  return [
    problem(field, undefined, `names Secret ${given === "" ? first : given}, which has no authorities (ca.crt) to verify clients with`),
  ];
}
