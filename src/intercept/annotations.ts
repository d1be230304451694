// A pod's annotations as the flags that Istio's injector would start its init container with.
import type { Issue, Result } from "../error.ts";
import type { GivenFlags, InterceptFlagName } from "./flags.ts";

/** Annotation to flag. Where two name one flag, the first that the pod has counts, as in Istio's template. */
const annotationFlags: readonly (readonly [annotation: string, flag: InterceptFlagName])[] = [
  ["sidecar.istio.io/interceptionMode", "istio-inbound-interception-mode"],
  ["traffic.sidecar.istio.io/includeOutboundIPRanges", "istio-service-cidr"],
  ["traffic.sidecar.istio.io/excludeOutboundIPRanges", "istio-service-exclude-cidr"],
  ["traffic.sidecar.istio.io/includeInboundPorts", "istio-inbound-ports"],
  ["traffic.sidecar.istio.io/includeOutboundPorts", "istio-outbound-ports"],
  ["traffic.sidecar.istio.io/excludeOutboundPorts", "istio-local-outbound-ports-exclude"],
  ["traffic.sidecar.istio.io/excludeInterfaces", "istio-exclude-interfaces"],
  ["istio.io/reroute-virtual-interfaces", "kube-virt-interfaces"],
  ["traffic.sidecar.istio.io/kubevirtInterfaces", "kube-virt-interfaces"],
];

const excludeInbound = "traffic.sidecar.istio.io/excludeInboundPorts";
const statusPort = "status.sidecar.istio.io/port";

/** What the injector gives without annotations: all traffic, but for the proxy's own ports for metrics and health. */
const injected: GivenFlags = {
  "istio-inbound-interception-mode": "REDIRECT",
  "istio-service-cidr": "*",
  "istio-inbound-ports": "*",
  "proxy-uid": "1337",
};
const ownPorts = ["15090", "15021"];
const defaultStatusPort = "15020";

/** The flags; annotations of `traffic.sidecar.istio.io` that mean nothing here are warned of. */
export function flagsFromAnnotations(annotations: Readonly<Record<string, string>>): Result<GivenFlags> {
  const given: { [name in InterceptFlagName]?: string } = { ...injected };
  const set = new Set<InterceptFlagName>();
  const issues: Issue[] = [];
  for (const [annotation, flag] of annotationFlags) {
    const value = annotations[annotation];
    if (value === undefined || set.has(flag)) continue;
    set.add(flag);
    given[flag] = value;
  }
  const health = (annotations[statusPort] ?? defaultStatusPort).trim();
  const excluded = (annotations[excludeInbound] ?? "").split(",").map((port) => port.trim());
  given["istio-local-exclude-ports"] = [...ownPorts, ...excluded, ...(health === "0" ? [] : [health])].join(",");
  for (const name of Object.keys(annotations)) {
    if (!name.startsWith("traffic.sidecar.istio.io/") || name === excludeInbound) continue;
    if (annotationFlags.some(([known]) => known === name)) continue;
    issues.push({ severity: "warning", path: [name], message: "is no annotation that interception knows" });
  }
  return { ok: true, value: given, issues };
}
