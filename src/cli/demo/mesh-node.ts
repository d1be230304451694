// Who each proxy of the demo is: Envoy's core.v3.Node as Istio fills it for a Pod, written to a file for `isthmus run`.
import fs from "node:fs";
import type { Workload } from "./mesh-copy.ts";

/** Writes the node of a sidecar or of a gateway (`router`). */
export function writeNodeFile(file: string, workload: Workload, kind: "sidecar" | "router"): void {
  const { name, namespace, serviceAccount, cluster, network, ip, labels } = workload;
  const node = {
    id: `${kind}~${ip}~${name}.${namespace}~${namespace}.svc.cluster.local`,
    cluster: `${labels["app"] ?? name}.${namespace}`,
    metadata: {
      CLUSTER_ID: cluster,
      NETWORK: network,
      NAMESPACE: namespace,
      NAME: name,
      WORKLOAD_NAME: labels["app"] ?? name,
      SERVICE_ACCOUNT: serviceAccount,
      INSTANCE_IPS: ip,
      // Nothing redirects traffic to the proxies of the demo: they bind the service addresses themselves.
      INTERCEPTION_MODE: "NONE",
      DNS_CAPTURE: "true",
      LABELS: labels,
      // An east-west gateway serves only the network that it stands in.
      ...(kind === "router" ? { ROUTER_MODE: "sni-dnat", REQUESTED_NETWORK_VIEW: network } : {}),
    },
  };
  fs.writeFileSync(file, `${JSON.stringify(node, null, 2)}\n`);
}
