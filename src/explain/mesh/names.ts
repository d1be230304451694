// Names and addresses: whose they are, and why a name or port is not there.
import { isIP } from "node:net";
import { autoPassthroughHosts } from "./servers.ts";
import { exportRank } from "../../source/mesh/scope/exports.ts";
import type { MeshService } from "../../source/mesh/registry/service.ts";
import type { Reason } from "../explanation.ts";
import type { ClusterName, Finding, MeshKnowledge } from "../knowledge.ts";
import { type MeshContext, nameOf, objectsOf } from "./context.ts";

type Names = Pick<
  MeshKnowledge,
  "aboutName" | "clusterDns" | "whyNoName" | "atAddress" | "whyNoListener" | "unanswered" | "outboundPolicy" | "aboutServers"
>;

/** Knowledge of names. */
export function knowNames(context: MeshContext): Names {
  return {
    aboutName: (owner, addresses) => aboutName(context, owner, addresses),
    clusterDns: (name) => clusterDns(context, name),
    whyNoName: (name) => whyNoName(context, name),
    atAddress: (ip, port) =>
      servicesAt(context, ip)
        .filter((service) => service.ports.some((each) => each.port === port))
        .flatMap((service) => objectsOf(context, service).slice(0, 1)),
    whyNoListener: (host, ip, port) => whyNoListener(context, host, ip, port),
    unanswered: (ip, port) => unanswered(context, ip, port),
    outboundPolicy: () => outboundPolicy(context),
    aboutServers: (port) => autoPassthroughHosts(context, port),
  };
}

/** The services a node sees at an address; addresses may be ranges, which are left to the listeners. */
function servicesAt({ view }: MeshContext, ip: string): readonly MeshService[] {
  return view.services.filter(
    (service) => view.addressesOf(service).includes(ip) || (service.headless && service.endpoints.some(({ address }) => address === ip)),
  );
}

function aboutName(context: MeshContext, owner: string, addresses: readonly string[]): readonly Reason[] {
  const { view } = context;
  const service = view.services
    .filter(
      (each) =>
        each.hostname === owner ||
        addresses.some((ip) => view.addressesOf(each).includes(ip)) ||
        each.endpoints.some(({ address }) => addresses.includes(address)),
    )
    .toSorted((a, b) => Number(b.hostname === owner) - Number(a.hostname === owner))[0];
  if (service === undefined) return [];
  const objects = objectsOf(context, service);
  const reasons: Reason[] = objects.map(({ text, place }) => (place === undefined ? { text } : { text, place }));
  if (service.headless) return [...reasons, { text: "headless: the addresses are those of its endpoints" }];
  if (service.allocated.some((ip) => addresses.includes(ip)))
    return [...reasons, { text: "the address was handed out: the entry gives none" }];
  const { proxy } = view;
  if (service.registry === "Kubernetes" && !service.addresses.has(proxy.cluster)) {
    const [cluster] = service.addresses.keys();
    return [...reasons, { text: `${proxy.cluster || "the own cluster"} has no such Service: the address is ${cluster}'s` }];
  }
  return reasons;
}

/** Services of the own cluster whose name is written in any of the forms that Kubernetes searches. */
function clusterDns({ view, places }: MeshContext, name: string): ClusterName | undefined {
  const { proxy, mesh } = view;
  const wanted = name.toLowerCase();
  for (const cluster of mesh.clusters) {
    if (cluster.name !== proxy.cluster) continue;
    for (const { meta, spec } of cluster.services) {
      const short = `${meta.name}.${meta.namespace}`;
      const forms = [`${short}.svc.cluster.local`, `${short}.svc`, short, ...(meta.namespace === proxy.namespace ? [meta.name] : [])];
      if (forms.includes(wanted) && spec.clusterIps.length > 0)
        return { addresses: spec.clusterIps, reason: { text: `${nameOf(meta)} of ${cluster.name}`, place: places.of(meta) } };
    }
  }
  return undefined;
}

/** A name in the forms it may be meant in. */
function fullNames({ view }: MeshContext, name: string): readonly string[] {
  const plain = name.toLowerCase().replace(/\.$/, "");
  const { namespace } = view.proxy;
  return [
    plain,
    `${plain}.cluster.local`,
    `${plain}.svc.cluster.local`,
    ...(plain.includes(".") ? [] : [`${plain}.${namespace}.svc.cluster.local`]),
  ];
}

function whyNoName(context: MeshContext, name: string): readonly Finding[] {
  const { registry, view } = context;
  const names = new Set(fullNames(context, name));
  const services = registry.services.filter(({ hostname }) => names.has(hostname));
  if (services.length === 0) return undiscovered(context, names);
  return services.flatMap((service): readonly Finding[] => {
    const [object] = objectsOf(context, service);
    const place = object?.place;
    const hidden = whyHidden(context, service);
    if (hidden !== undefined) return [hidden];
    if (view.addressesOf(service).length > 0 || !view.proxy.dnsCapture) return [];
    const text = service.headless
      ? `${service.hostname} is headless and has no ${service.endpoints.length === 0 ? "endpoints" : "endpoints that are named here (ready, and on this network)"}, so its name has no address`
      : view.mesh.config.autoAllocate.optIn && !view.proxy.dnsAutoAllocate
        ? `${service.hostname} has no address, and none is handed out to this proxy (ISTIO_META_DNS_AUTO_ALLOCATE is not true for it)`
        : `${service.hostname} has no address`;
    return [{ code: "unknown_name", text, ...(place === undefined ? {} : { place }) }];
  });
}

/** What hides a service from the node; undefined: nothing does. */
export function whyHidden(context: MeshContext, service: MeshService): Finding | undefined {
  const { view, places } = context;
  const { proxy, scope, mesh } = view;
  if (
    scope.egress.some(({ services }) => services.some((each) => each.hostname === service.hostname && each.namespace === service.namespace))
  )
    return undefined;
  if (proxy.type === "router" && scope.byHost.get(service.hostname)?.namespace === service.namespace) return undefined;
  const [object] = objectsOf(context, service);
  if (exportRank(service.exportTo, mesh.config.serviceExportTo, service.namespace, proxy.namespace) === undefined) {
    const targets = service.exportTo.length > 0 ? service.exportTo : mesh.config.serviceExportTo;
    const text = `${service.hostname} is exported to ${targets.join(", ")} only, not to namespace ${proxy.namespace} (exportTo)`;
    return { code: "not_visible", text, ...(object?.place === undefined ? {} : { place: object.place }) };
  }
  if (scope.sidecar !== undefined) {
    const { meta } = scope.sidecar;
    return {
      code: "not_visible",
      text: `${nameOf(meta)} does not import ${service.namespace}/${service.hostname}`,
      place: places.of(meta, ["spec", "egress"]),
    };
  }
  const text = `another service of the name ${service.hostname} stands before that of namespace ${service.namespace}`;
  return { code: "not_visible", text, ...(object?.place === undefined ? {} : { place: object.place }) };
}

/** Services that were read but belong to no registry: their namespace is not discovered, or they have neither address nor endpoints. */
function undiscovered({ loaded, places, view }: MeshContext, names: ReadonlySet<string>): readonly Finding[] {
  return loaded.objects.flatMap(({ known }): readonly Finding[] => {
    if (known.kind !== "Service") return [];
    const { meta, spec } = known.object;
    if (!names.has(`${meta.name}.${meta.namespace}.svc.cluster.local`)) return [];
    const place = places.of(meta);
    if (spec.type === "ExternalName")
      return [
        {
          code: "unknown_outside",
          text: `${nameOf(meta)} is an ExternalName: the cluster's DNS answers with a CNAME of ${spec.externalName}`,
          place,
        },
      ];
    return view.mesh.config.discoverySelectors.length === 0
      ? []
      : [
          {
            code: "not_visible",
            text: `${nameOf(meta)} is not discovered: no discoverySelector of the mesh selects namespace ${meta.namespace}`,
            place,
          },
        ];
  });
}

function whyNoListener(context: MeshContext, host: string, ip: string | undefined, port: number): readonly Finding[] {
  const { registry, view } = context;
  const names = new Set(fullNames(context, host));
  const services = registry.services.filter(
    (service) => names.has(service.hostname) || (ip !== undefined && isIP(ip) !== 0 && [...service.addresses.values()].flat().includes(ip)),
  );
  return services.flatMap((service): readonly Finding[] => {
    const [object] = objectsOf(context, service);
    const place = object?.place === undefined ? {} : { place: object.place };
    const hidden = whyHidden(context, service);
    if (hidden !== undefined) return [hidden];
    const ports = service.ports.map((each) => each.port).toSorted((a, b) => a - b);
    if (!ports.includes(port))
      return [{ code: "unknown_name", text: `${service.hostname} has no port ${port}, it has ${ports.join(", ") || "none"}`, ...place }];
    if (view.outboundDisabled)
      return [{ code: "unknown_outside", text: "the workload's traffic is not taken (includeOutboundIPRanges is empty)", ...place }];
    return [];
  });
}

/** Virtual addresses exist where their own cluster's network answers for them, and only at the ports of the Service. */
function unanswered(context: MeshContext, ip: string, port: number): Reason | undefined {
  const { registry, view } = context;
  const service = registry.services.find(
    ({ addresses, allocated }) => allocated.includes(ip) || [...addresses.values()].flat().includes(ip),
  );
  if (service === undefined || service.registry !== "Kubernetes") {
    return service?.allocated.includes(ip) === true
      ? { text: `${ip} was handed out for ${service.hostname}, and exists nowhere but in proxies` }
      : undefined;
  }
  const own = service.addresses.get(view.proxy.cluster);
  const [object] = objectsOf(context, service);
  const place = object?.place === undefined ? {} : { place: object.place };
  if (own?.includes(ip) !== true)
    return { text: `${ip} is the address of ${service.hostname} in another cluster, where no route leads to`, ...place };
  if (service.ports.some((each) => each.port === port)) return undefined;
  return { text: `${ip} is the address of ${service.hostname}, which has no port ${port}`, ...place };
}

function outboundPolicy({ view, loaded, places }: MeshContext): Reason {
  const { scope, mesh } = view;
  const { sidecar } = scope;
  if (sidecar?.spec.outboundPolicy !== undefined) {
    return {
      text: `outboundTrafficPolicy of ${nameOf(sidecar.meta)}: on to ${scope.unclaimedCluster}`,
      place: places.of(sidecar.meta, ["spec", "outboundTrafficPolicy"]),
    };
  }
  const [object] = loaded.objects;
  const root = object === undefined ? "" : object.known.object.meta.source.file.replace(/(?:k8s|istio)\/.*$/, "");
  const text = `outboundTrafficPolicy ${mesh.config.outboundPolicy}: on to ${scope.unclaimedCluster}`;
  return root === "" ? { text } : { text, place: { file: `${root}meshconfig.yaml`, line: 1 } };
}
