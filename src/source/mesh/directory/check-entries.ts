// ServiceEntries, or parts of one, that are without the effect they seem to have. Istio says nothing of any of it.
import type { LocatedIssue } from "../../yaml-document.ts";
import { autoAllocateVariables } from "../auto-allocate.ts";
import type { ServiceEntrySpec } from "../istio/service-entry.ts";
import type { MeshView } from "../mesh-view.ts";
import type { FieldPath } from "../object/fields.ts";
import type { MeshObject } from "../object/mesh-object.ts";
import { isHttp, isTls, parseProtocol } from "../registry/protocol.ts";
import { allocateAddresses, type VirtualAddresses, wantsAddress } from "../registry/virtual-addresses.ts";
import type { FoundIssue } from "./object-issue.ts";

type Entry = MeshObject<ServiceEntrySpec>;
type Warn = (entry: Entry, path: FieldPath, message: string) => void;

/** Everything to be said of the mesh's entries; `configFile` is where the range of addresses is set. */
export function checkEntries(mesh: MeshView, configFile: string): readonly FoundIssue[] {
  if (mesh.serviceEntries.length === 0) return [];
  const issues: FoundIssue[] = [];
  const warn: Warn = ({ meta }, path, message) => void issues.push({ severity: "warning", meta, path, message });
  const addresses = allocateAddresses(mesh);
  if (addresses.unserved.length > 0) issues.push(rangeTooSmall(mesh, addresses, configFile));
  checkEndpoints(mesh, warn);
  checkHosts(mesh, warn);
  checkAddresses(mesh, addresses, warn);
  return issues;
}

function rangeTooSmall(mesh: MeshView, { unserved, capacity }: VirtualAddresses, file: string): LocatedIssue {
  const { v4, v6 } = mesh.config.autoAllocate.ranges;
  return {
    severity: "error",
    file,
    line: 1,
    column: 1,
    path: ["defaultConfig", "proxyMetadata", autoAllocateVariables.v4],
    message: `${v4} (with ${v6}) is too small: it has ${capacity} addresses, and ${unserved.length} more hosts need one, the first is ${unserved[0] ?? ""}`,
  };
}

function checkEndpoints(mesh: MeshView, warn: Warn): void {
  for (const entry of mesh.serviceEntries) {
    const { resolution, endpoints, hosts, workloadSelector } = entry.spec;
    if (resolution === "STATIC" && endpoints.length === 0 && workloadSelector === undefined)
      warn(entry, ["spec", "resolution"], "is STATIC without endpoints or workloadSelector: every call fails");
    if (resolution === "DYNAMIC_DNS")
      warn(
        entry,
        ["spec", "resolution"],
        "DYNAMIC_DNS is not supported: sidecars and gateways do not resolve names call by call, so every call fails",
      );
    if (!resolution.startsWith("DNS") || endpoints.length > 0) continue;
    hosts.forEach((host, index) => {
      if (host.startsWith("*"))
        warn(entry, ["spec", "hosts", index], `${host} cannot be looked up and there are no endpoints: the same as resolution NONE`);
    });
  }
}

function checkHosts(mesh: MeshView, warn: Warn): void {
  const kubernetes = new Set(
    mesh.clusters.flatMap((cluster) => cluster.services.map(({ meta }) => `${meta.name}.${meta.namespace}.svc.cluster.local`)),
  );
  const owners = new Map<string, Entry>();
  const elsewhere = new Map<string, Entry>();
  for (const entry of mesh.serviceEntries) {
    entry.spec.hosts.forEach((host, index) => {
      const path = ["spec", "hosts", index];
      const own = owners.get(`${entry.meta.namespace}/${host}`);
      const other = elsewhere.get(host);
      if (kubernetes.has(host)) warn(entry, path, `${host} has no effect: it is the name of a Kubernetes Service`);
      else if (own !== undefined && own.spec.resolution !== entry.spec.resolution)
        warn(
          entry,
          path,
          `${host} has no effect: ${own.meta.name} has it with resolution ${own.spec.resolution}, this one with ${entry.spec.resolution}`,
        );
      else if (other !== undefined && other.meta.namespace !== entry.meta.namespace && isPublic(mesh, other) && isPublic(mesh, entry))
        warn(
          entry,
          path,
          `${host} is seen in namespace ${entry.meta.namespace} only: ${other.meta.namespace}/${other.meta.name} is older and has it elsewhere`,
        );
      if (own === undefined) owners.set(`${entry.meta.namespace}/${host}`, entry);
      if (other === undefined) elsewhere.set(host, entry);
    });
  }
}

function isPublic({ config }: MeshView, { spec }: Entry): boolean {
  return (spec.exportTo.length === 0 ? config.serviceExportTo : spec.exportTo).includes("*");
}

/** Connections are told apart by address, where their bytes do not carry a name. */
function checkAddresses(mesh: MeshView, allocated: VirtualAddresses, warn: Warn): void {
  const claimed = new Map<string, { readonly host: string; readonly owner: string }>();
  for (const cluster of mesh.clusters) {
    for (const { meta, spec } of cluster.services) {
      const owner = `Service ${meta.namespace}/${meta.name}`;
      for (const address of spec.clusterIps) for (const { port } of spec.ports) claimed.set(`${address} port ${port}`, { host: "", owner });
    }
  }
  for (const entry of mesh.serviceEntries) {
    const owner = `ServiceEntry ${entry.meta.namespace}/${entry.meta.name}`;
    for (const host of entry.spec.hosts) {
      const given = entry.spec.addresses.length > 0 ? entry.spec.addresses : allocated.of(entry, host);
      entry.spec.ports.forEach((port, index) => {
        const protocol = parseProtocol(port.protocol);
        if (isHttp(protocol) || protocol === "UDP") return;
        const path = ["spec", "ports", index];
        for (const place of placesOf(entry, host, given, isTls(protocol))) {
          const key = `${place} port ${port.number}`;
          const known = claimed.get(key);
          if (known === undefined) claimed.set(key, { host, owner });
          else if (known.host !== host) warn(entry, path, `has no effect for ${host}: ${known.owner} already has ${key}`);
        }
      });
    }
  }
}

/** Where connections to a host arrive: at its addresses, or at any address when it has none. */
function placesOf(entry: Entry, host: string, given: readonly string[], tls: boolean): readonly string[] {
  if (given.length > 0) return tls ? given.filter((address) => !address.includes("/")) : given;
  // The server name tells TLS apart; a host that found the range full has an error of its own.
  return tls || wantsAddress(entry, host) ? [] : ["every address,"];
}
