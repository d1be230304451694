// `/config_dump`: the configuration in force in Envoy's shape, without secrets, and what of it is not honoured.
import { compileRegex } from "../regex.ts";
import type { ConfigView } from "./admin-context.ts";
import { redact } from "./redact.ts";

/** Query parameters of the page. */
export interface ConfigDumpQuery {
  /** One list of the dump, e.g. `dynamic_active_clusters`. */
  readonly resource: string | undefined;
  /** RE2, anywhere in the resource's name. */
  readonly nameRegex: string | undefined;
  readonly includeEds: boolean;
}

const type = (name: string): string => `type.googleapis.com/envoy.admin.v3.${name}`;

/** The dump as JSON, or what is wrong with the query. */
export function configDump(view: ConfigView, query: ConfigDumpQuery): { readonly json: unknown } | { readonly error: string } {
  const matches = nameFilter(query.nameRegex);
  if (typeof matches !== "function") return matches;
  const stamp = { version_info: String(view.version), last_updated: new Date(view.lastUpdatedMs).toISOString() };
  const wrap = (key: string, resources: readonly unknown[]): unknown[] =>
    resources.filter((resource) => matches(nameOf(resource))).map((resource) => ({ ...stamp, [key]: redact(resource) }));
  const dynamic = view.source === "mesh";
  const lists: Record<string, readonly unknown[]> = {
    [dynamic ? "dynamic_active_clusters" : "static_clusters"]: wrap("cluster", view.json.clusters),
    [dynamic ? "dynamic_listeners" : "static_listeners"]: dynamic
      ? view.json.listeners
          .filter((listener) => matches(nameOf(listener)))
          .map((listener) => ({ name: nameOf(listener), active_state: { ...stamp, listener: redact(listener) } }))
      : wrap("listener", view.json.listeners),
    [dynamic ? "dynamic_route_configs" : "static_route_configs"]: wrap("route_config", view.json.routes),
    [dynamic ? "dynamic_endpoint_configs" : "static_endpoint_configs"]: query.includeEds
      ? wrap("endpoint_config", view.json.endpoints)
      : [],
    dynamic_active_secrets: view.resources.secrets
      .filter((secret) => matches(secret.name))
      .map((secret) => ({ name: secret.name, ...stamp, secret: redact(secret) })),
  };
  if (query.resource !== undefined) {
    const list = Object.hasOwn(lists, query.resource) ? lists[query.resource] : undefined;
    return list ? { json: { configs: list } } : { error: `${query.resource} not found in config dump` };
  }
  const pick = (...names: string[]): Record<string, readonly unknown[]> => {
    const picked: Record<string, readonly unknown[]> = {};
    for (const name of names) if (lists[name]) picked[name] = lists[name];
    return picked;
  };
  return {
    json: {
      configs: [
        { "@type": type("BootstrapConfigDump"), bootstrap: redact(view.bootstrap ?? {}), last_updated: stamp.last_updated },
        { "@type": type("ClustersConfigDump"), version_info: stamp.version_info, ...pick("static_clusters", "dynamic_active_clusters") },
        ...(query.includeEds
          ? [{ "@type": type("EndpointsConfigDump"), ...pick("static_endpoint_configs", "dynamic_endpoint_configs") }]
          : []),
        { "@type": type("ListenersConfigDump"), version_info: stamp.version_info, ...pick("static_listeners", "dynamic_listeners") },
        { "@type": type("RoutesConfigDump"), ...pick("static_route_configs", "dynamic_route_configs") },
        { "@type": type("SecretsConfigDump"), ...pick("dynamic_active_secrets") },
      ],
      not_honoured: view.issues,
    },
  };
}

function nameFilter(regex: string | undefined): ((name: string) => boolean) | { readonly error: string } {
  if (regex === undefined) return () => true;
  const compiled = compileRegex(`(?s).*(?:${regex}).*`);
  return "error" in compiled ? { error: compiled.error } : (name) => compiled.matches(name);
}

function nameOf(resource: unknown): string {
  if (typeof resource !== "object" || resource === null) return "";
  for (const key of ["name", "cluster_name", "clusterName"]) {
    const value = (resource as Record<string, unknown>)[key];
    if (typeof value === "string") return value;
  }
  return "";
}
