// Checks names that resources refer to each other by. Envoy allows most of them to be missing for a while (a route answers 503,
// a listener warms), so most are warnings.
import type { Cluster } from "../envoy/cluster/cluster.ts";
import type { Listener } from "../envoy/listener/listener.ts";
import type { ForwardAction, RouteConfiguration } from "../envoy/route/route.ts";
import type { TcpProxyConfig } from "../envoy/listener/tcp-proxy.ts";
import type { CommonTlsContext } from "../envoy/tls/tls.ts";
import type { Issue } from "../error.ts";
import { chainsOf, connectionManagerOf, tcpProxy } from "./filter-support.ts";
import type { ResourceIssues } from "./resource-issue.ts";

interface Names {
  has(name: string): boolean;
}

/** What there is to refer to. */
export interface KnownNames {
  readonly clusters: Names;
  /** Clusters that were refused and have no earlier version. */
  readonly refusedClusters: Names;
  readonly routes: Names;
  readonly endpoints: Names;
  readonly secrets: (name: string) => boolean;
  /** Secrets that were reported to be missing: thousands of clusters may wait for one, and one of them says so. */
  readonly missingSecrets: Set<string>;
  /** Clusters whose absence is as meant. */
  readonly meantAbsent: (cluster: string) => boolean;
}

function targets(action: ForwardAction): readonly string[] {
  const mirrors = action.mirrors.flatMap(({ cluster }) => (cluster === "" ? [] : [cluster]));
  switch (action.target.kind) {
    case "cluster":
      return [action.target.name, ...mirrors];
    case "weighted":
      return [...action.target.clusters.flatMap(({ name }) => (name === "" ? [] : [name])), ...mirrors];
    case "clusterHeader":
      return mirrors;
  }
}

/** Clusters of a route configuration; `pathOf` says where a route is. */
export function checkRoutes(
  routes: RouteConfiguration,
  known: KnownNames,
  issues: ResourceIssues,
  pathOf: (host: number, route: number) => Issue["path"],
): void {
  routes.virtualHosts.forEach((host, hostIndex) => {
    host.routes.forEach((route, routeIndex) => {
      if (route.action.kind !== "route") return;
      for (const name of targets(route.action)) {
        if (known.clusters.has(name)) continue;
        const where = `route ${route.name || routeIndex + 1} of virtual host ${host.name}`;
        const path = pathOf(hostIndex, routeIndex);
        if (known.refusedClusters.has(name)) issues.warn(`${where} goes to cluster ${name}, which was refused`, path);
        else if (routes.validateClusters) issues.error(`${where} goes to cluster ${name}, which does not exist`, path);
        else if (!known.meantAbsent(name)) issues.warn(`${where} goes to cluster ${name}, which does not exist (yet)`, path);
      }
    });
  });
}

function checkSecrets(tls: CommonTlsContext, known: KnownNames, issues: ResourceIssues, path: Issue["path"]): void {
  const names = tls.validationSecret === undefined ? tls.certificateSecrets : [...tls.certificateSecrets, tls.validationSecret];
  for (const name of names) {
    if (known.secrets(name) || known.missingSecrets.has(name)) continue;
    known.missingSecrets.add(name);
    issues.warn(`the secret ${name} does not exist (yet): no handshake succeeds without it`, path);
  }
}

/** What a listener refers to: clusters, route configurations, secrets. */
export function checkListenerReferences(listener: Listener, known: KnownNames, issues: ResourceIssues): void {
  for (const { chain, path } of chainsOf(listener)) {
    if (chain.transportSocket.kind === "tls") checkSecrets(chain.transportSocket.tls.common, known, issues, [...path, "transport_socket"]);
    for (const filter of chain.filters) {
      if (filter.extension === tcpProxy) {
        const { target } = filter.config as TcpProxyConfig;
        for (const name of target.kind === "cluster" ? [target.name] : target.clusters.map((cluster) => cluster.name)) {
          if (!known.clusters.has(name)) issues.warn(`the TCP proxy goes to cluster ${name}, which does not exist (yet)`, path);
        }
      }
      const manager = connectionManagerOf(filter);
      if (manager?.routes.kind === "inline") checkRoutes(manager.routes.config, known, issues, () => path);
      else if (manager?.routes.kind === "rds" && !known.routes.has(manager.routes.name)) {
        issues.warn(`the route configuration ${manager.routes.name} does not exist (yet): requests find no route`, path);
      }
    }
  }
}

/** What a cluster refers to: endpoints and secrets. */
export function checkClusterReferences(cluster: Cluster, known: KnownNames, issues: ResourceIssues): void {
  if (cluster.type === "EDS" && !known.endpoints.has(cluster.edsServiceName)) {
    issues.warn(`there are no endpoints named ${cluster.edsServiceName} (yet)`, ["eds_cluster_config"]);
  }
  if (cluster.transportSocket.kind === "tls") checkSecrets(cluster.transportSocket.tls.common, known, issues, ["transport_socket"]);
  cluster.transportSocketMatches.forEach(({ transportSocket }, index) => {
    if (transportSocket.kind === "tls") checkSecrets(transportSocket.tls.common, known, issues, ["transport_socket_matches", index]);
  });
}
