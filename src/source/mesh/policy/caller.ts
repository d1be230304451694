// The proxy as locality settings see it: its labels and locality, from its pod where the mesh knows it, else as it says itself.
import type { Proxy } from "../proxy.ts";
import type { Workload } from "../registry/kubernetes-services.ts";
import type { Networks } from "../registry/networks.ts";
import { localityOfTopology, parseLocality, withTopology } from "../registry/topology-labels.ts";
import type { Caller } from "./locality-priorities.ts";

/** Describes a proxy; `workload` is its pod. */
export function describeCaller(proxy: Proxy, workload: Workload | undefined, networks: Networks): Caller {
  const { cluster, nodeName: node } = proxy;
  const labels = workload === undefined ? proxy.labels : podLabels(proxy, workload, networks);
  const labelled = labels["istio-locality"] ?? "";
  // What the pod's node says goes before what the proxy says of itself.
  const locality = localityOfTopology(labels) ?? (labelled === "" ? proxy.locality : parseLocality(labelled.replaceAll(".", "/")));
  return { locality, labels: withTopology(labels, { cluster, network: proxy.network, node, locality }) };
}

function podLabels(proxy: Proxy, workload: Workload, networks: Networks): Readonly<Record<string, string>> {
  const { labels } = workload.pod.meta;
  const { cluster, nodeName: node } = proxy;
  const network = networks.networkOf(cluster, workload.pod.spec.ips[0] ?? "", labels);
  return withTopology(labels, { cluster, network, node, locality: workload.locality });
}
