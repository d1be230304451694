// Labels of a workload's place, which Istio lays over its own: subsets and failoverPriority may name them.
import type { Locality } from "../../../envoy/cluster/endpoint.ts";

/** Where a workload runs; what is unknown is empty. */
export interface Place {
  readonly cluster: string;
  readonly network: string;
  readonly node: string;
  readonly locality: Locality;
}

const regionLabel = "topology.kubernetes.io/region";
const zoneLabel = "topology.kubernetes.io/zone";
const subZoneLabel = "topology.istio.io/subzone";
const networkLabel = "topology.istio.io/network";

/** The labels with those of the place; a network that the workload names itself is kept. */
export function withTopology(labels: Readonly<Record<string, string>>, place: Place): Readonly<Record<string, string>> {
  const { region, zone, subZone } = place.locality;
  const known: readonly (readonly [string, string])[] = [
    [regionLabel, region],
    [zoneLabel, zone],
    [subZoneLabel, subZone],
    ["topology.istio.io/cluster", place.cluster],
    ["kubernetes.io/hostname", place.node],
    [networkLabel, (labels[networkLabel] ?? "") === "" ? place.network : ""],
  ];
  return { ...labels, ...Object.fromEntries(known.filter(([, value]) => value !== "")) };
}

/** The locality that labels name, undefined when they name none. */
export function localityOfTopology(labels: Readonly<Record<string, string>>): Locality | undefined {
  const [region, zone, subZone] = [labels[regionLabel], labels[zoneLabel], labels[subZoneLabel]];
  if (region === undefined && zone === undefined && subZone === undefined) return undefined;
  return { region: region ?? "", zone: zone ?? "", subZone: subZone ?? "" };
}

/** `region/zone/subzone`, each part optional. */
export function parseLocality(text: string): Locality {
  const [region = "", zone = "", ...rest] = text.split("/");
  return { region, zone, subZone: rest.join("/") };
}
