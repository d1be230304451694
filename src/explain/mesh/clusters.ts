// Clusters and routes: the objects they come from, and why one is missing.
import { isDeepStrictEqual } from "node:util";
import type { Metadata } from "../../envoy/address.ts";
import type { Cluster } from "../../envoy/cluster/cluster.ts";
import { nearest } from "../../envoy/decode/nearest.ts";
import { meshGateway, virtualServicesOf } from "../../source/mesh/istio/virtual-services.ts";
import type { ObjectMeta } from "../../source/mesh/object/mesh-object.ts";
import { chooseLocality } from "../../source/mesh/policy/locality.ts";
import { buildHttpRoutes } from "../../source/mesh/route/http-routes.ts";
import type { Reason } from "../explanation.ts";
import type { Finding, MeshKnowledge } from "../knowledge.ts";
import { clusterOf, configOf, type MeshContext, nameOf, objectsOf, parseClusterName } from "./context.ts";
import { whyHidden } from "./names.ts";

type Clusters = Pick<MeshKnowledge, "source" | "aboutCluster" | "whyNoCluster" | "warnings">;

/** Knowledge of clusters and routes. */
export function knowClusters(context: MeshContext): Clusters {
  return {
    source: (metadata, route) => sourceOf(context, metadata, route),
    aboutCluster: (cluster) => aboutCluster(context, cluster),
    whyNoCluster: (name) => whyNoCluster(context, name),
    warnings: (cluster) => warningsOf(context, cluster),
  };
}

type RoutePosition = Parameters<MeshKnowledge["source"]>[1];

function sourceOf(context: MeshContext, metadata: Metadata, route: RoutePosition): Reason | undefined {
  const meta = configOf(context, metadata);
  if (meta === undefined) return route === undefined ? undefined : defaultRoute(context, route.virtualHost);
  const index = route && meta.kind === "VirtualService" ? httpIndex(context, meta, route) : undefined;
  if (index === undefined) return { text: `from ${nameOf(meta)}`, place: context.places.of(meta) };
  return { text: `from ${nameOf(meta)}, http[${index}]`, place: context.places.of(meta, ["spec", "http", index]) };
}

/** Where no VirtualService speaks for a host, its service has one route. */
function defaultRoute(context: MeshContext, virtualHost: string): Reason | undefined {
  const service = context.view.scope.byHost.get(virtualHost.replace(/:\d+$/, ""));
  const [object] = service === undefined ? [] : objectsOf(context, service);
  return (
    object && {
      text: `no VirtualService speaks for it: the route of ${object.text}`,
      ...(object.place === undefined ? {} : { place: object.place }),
    }
  );
}

/** The entry of `spec.http` that a route was made from: the one that is translated to the same match. */
function httpIndex(
  { view, routes }: MeshContext,
  meta: ObjectMeta,
  { config, virtualHost, index }: NonNullable<RoutePosition>,
): number | undefined {
  const host = (
    routes.find((each) => each["name"] === config)?.["virtual_hosts"] as readonly Readonly<Record<string, unknown>>[] | undefined
  )?.find((each) => each["name"] === virtualHost);
  const route = (host?.["routes"] as readonly Readonly<Record<string, unknown>>[] | undefined)?.[index];
  if (route === undefined) return undefined;
  const port = Number(/(\d+)$/.exec(virtualHost)?.[1] ?? 0);
  const gateways =
    view.proxy.type === "router"
      ? new Set(view.ownServers.map(({ gateway }) => `${gateway.meta.namespace}/${gateway.meta.name}`))
      : [meshGateway];
  for (const gateway of gateways) {
    const virtualService = virtualServicesOf(view.mesh, view.proxy, gateway).find((each) => each.meta === meta);
    if (virtualService === undefined) continue;
    const place = {
      proxy: view.proxy,
      gateway,
      port,
      defaultRetries: view.mesh.config.retries,
      portOf: () => port,
      ruleOf: () => undefined,
    };
    const found = virtualService.spec.http.findIndex((http) => {
      const built = buildHttpRoutes({ meta, spec: { ...virtualService.spec, http: [http] } }, place);
      return built.some((each) => each["name"] === route["name"] && isDeepStrictEqual(each["match"], route["match"]));
    });
    if (found >= 0) return found;
  }
  return undefined;
}

function aboutCluster(context: MeshContext, cluster: Cluster): readonly Reason[] {
  const of = clusterOf(context, cluster);
  if (of === undefined) return [];
  const { service, rule, subset, sniDnat } = of;
  const reasons: Reason[] = objectsOf(context, service).map(({ text, place }) => (place === undefined ? { text } : { text, place }));
  if (rule !== undefined) {
    const index = subset === undefined ? -1 : rule.spec.subsets.indexOf(subset);
    const labels =
      subset === undefined
        ? ""
        : `, subset ${subset.name}: ${Object.entries(subset.labels)
            .map(([name, value]) => `${name}=${value}`)
            .join(", ")}`;
    const path = index < 0 ? [] : ["spec", "subsets", index];
    reasons.push({ text: `${nameOf(rule.meta)}${labels}`, place: context.places.of(rule.meta, path) });
  }
  if (context.view.clusterLocal(service.hostname))
    reasons.push({ text: `clusterLocal (serviceSettings of the mesh): only endpoints in ${context.view.proxy.cluster} are used` });
  if (sniDnat) reasons.push({ text: "the bytes of the client's mTLS are passed on unopened" });
  return reasons;
}

function whyNoCluster(context: MeshContext, name: string): readonly Finding[] {
  const parts = parseClusterName(name);
  if (parts === undefined) return [];
  const { view, registry, places } = context;
  const service = view.scope.byHost.get(parts.host);
  if (service === undefined) {
    const known = registry.services.filter(({ hostname }) => hostname === parts.host);
    const hidden = known.flatMap((each) => whyHidden(context, each) ?? []);
    if (hidden.length > 0) return hidden;
    const near = nearest(
      parts.host,
      registry.services.map(({ hostname }) => hostname),
    );
    return [{ code: "unknown_name", text: `there is no service ${parts.host}${near === undefined ? "" : `; the nearest is ${near}`}` }];
  }
  const [object] = objectsOf(context, service);
  const ports = service.ports.map(({ port }) => port);
  if (!ports.includes(parts.port)) {
    const text = `${service.hostname} has no port ${parts.port}, it has ${ports.join(", ")}`;
    return [{ code: "unknown_name", text, ...(object?.place === undefined ? {} : { place: object.place }) }];
  }
  const rule = view.ruleOf(service);
  const subsets = rule?.spec.subsets.map((subset) => subset.name) ?? [];
  if (parts.subset !== "" && !subsets.includes(parts.subset)) {
    const place = rule === undefined ? object?.place : places.of(rule.meta);
    const there = rule === undefined ? "it has no DestinationRule here" : `${nameOf(rule.meta)} has ${subsets.join(", ") || "none"}`;
    return [
      {
        code: "unknown_name",
        text: `${service.hostname} has no subset ${parts.subset}: ${there}`,
        ...(place === undefined ? {} : { place }),
      },
    ];
  }
  if (service.resolution === "dynamic-dns")
    return [
      { code: "no_endpoints", text: `${service.hostname} has resolution DYNAMIC_DNS, for which sidecars and gateways have no cluster` },
    ];
  return [{ code: "no_endpoints", text: `${service.hostname} has no address to resolve, so its port has no cluster` }];
}

function warningsOf(context: MeshContext, cluster: Cluster): readonly Finding[] {
  const of = clusterOf(context, cluster);
  if (of === undefined) return [];
  const { view, places } = context;
  const policy = view.policyOf(of.service, of.subset, of.port);
  const { setting, failover } = chooseLocality(view.mesh.config, of.service, policy);
  if (failover || setting === undefined || (setting.failover.length === 0 && setting.failoverPriority.length === 0)) return [];
  const place = of.rule === undefined ? undefined : places.of(of.rule.meta, ["spec", "trafficPolicy"]);
  const text = `${of.service.hostname} is to fail over by locality, but has no outlierDetection: a failed endpoint is never noticed, so there is no failover`;
  return [{ code: "no_outlier_detection", text, ...(place === undefined ? {} : { place }) }];
}
