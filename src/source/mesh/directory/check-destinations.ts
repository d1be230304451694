// Destinations of VirtualServices that are not there: hosts of no service, and subsets of no DestinationRule. What is routed there
// fails, so each is a warning: what is missing may still come.
import { KeptMap } from "../../../kept-list.ts";
import { hostCovers, resolveHost } from "../istio/host-name.ts";
import type { Destination } from "../istio/route/destination.ts";
import type { WrittenVirtualService } from "../istio/virtual-service.ts";
import type { MeshView } from "../mesh-view.ts";
import type { FieldPath } from "../object/fields.ts";
import { Kept } from "../object/kept.ts";
import type { MeshObject } from "../object/mesh-object.ts";
import { buildServiceRegistry } from "../registry/service-registry.ts";
import type { MeshService } from "../registry/service.ts";
import type { LoadedObject } from "./assemble.ts";
import type { ObjectIssue } from "./object-issue.ts";

/** Hosts that services have. */
interface KnownHosts {
  readonly exact: ReadonlySet<string>;
  readonly wildcards: readonly string[];
}

const hostLists = new KeptMap<MeshService, string>();
const knownHosts = new Kept<object, KnownHosts>();

/** Every host that leads somewhere; the same object while services come and go behind the same names. */
export function hostsOf(mesh: MeshView): KnownHosts {
  const { services, aliases } = buildServiceRegistry(mesh);
  const names = hostLists.map(mesh.config, services, [], ({ hostname }) => hostname);
  return knownHosts.get(mesh.config, [...names, ...aliases.map(({ hostname }) => hostname)], () => {
    const hosts = [...names, ...aliases.map(({ hostname }) => hostname)];
    return { exact: new Set(hosts), wildcards: hosts.filter((host) => host.startsWith("*")) };
  });
}

/** Every destination that leads nowhere. */
export function checkDestinations(mesh: MeshView, objects: readonly LoadedObject[]): readonly ObjectIssue[] {
  const written = objects.flatMap(({ known }) => (known.kind === "VirtualService" ? [known.object] : []));
  if (written.length === 0) return [];
  const hosts = hostsOf(mesh);
  const rules = mesh.destinationRules.map(({ meta, spec }) => ({
    title: `DestinationRule ${meta.namespace}/${meta.name}`,
    host: resolveHost(spec.host, meta.namespace),
    subsets: spec.subsets.map(({ name }) => name),
  }));
  return written.flatMap((virtualService) => {
    const { meta } = virtualService;
    return destinationsOf(virtualService).flatMap(({ destination, path, title }): readonly ObjectIssue[] => {
      const host = resolveHost(destination.host, meta.namespace);
      const say = (field: string, message: string): readonly ObjectIssue[] => [
        { severity: "warning", meta, path: [...path, field], message: `${title} ${message}: what is sent there fails` },
      ];
      if (!hosts.exact.has(host) && !hosts.wildcards.some((each) => hostCovers(each, host)))
        return say("host", `${host}, which is the host of no service`);
      const { subset } = destination;
      const concerned = rules.filter((rule) => hostCovers(rule.host, host));
      if (subset === "" || concerned.some(({ subsets }) => subsets.includes(subset))) return [];
      const others = concerned.map((rule) => `${rule.title} has ${rule.subsets.length === 0 ? "none" : rule.subsets.join(", ")}`);
      const tail = others.length === 0 ? "" : ` (${others.join("; ")})`;
      return say("subset", `subset ${subset} of ${host}, which no DestinationRule defines${tail}`);
    });
  });
}

interface PlacedDestination {
  readonly destination: Destination;
  readonly path: FieldPath;
  readonly title: string;
}

function destinationsOf({ spec }: MeshObject<WrittenVirtualService>): readonly PlacedDestination[] {
  const routed = (kind: string, index: number, destinations: readonly Destination[]): readonly PlacedDestination[] =>
    destinations.map((destination, at) => ({ destination, path: ["spec", kind, index, "route", at, "destination"], title: "leads to" }));
  return [
    ...spec.http.flatMap(({ action }, index) => {
      if (action.kind !== "forward" && action.kind !== "delegate") return [];
      // Which of `mirror` and `mirrors` it was is not kept.
      const mirrors = action.mirrors.map(({ destination }) => ({
        destination,
        path: ["spec", "http", index, "mirror"],
        title: "mirrors to",
      }));
      return [...routed("http", index, action.destinations), ...mirrors];
    }),
    ...spec.tls.flatMap(({ destinations }, index) => routed("tls", index, destinations)),
    ...spec.tcp.flatMap(({ destinations }, index) => routed("tcp", index, destinations)),
  ];
}
