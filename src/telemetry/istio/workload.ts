// Workloads as Istio's metrics name them, read from the metadata of a node or of an endpoint.
import type { Node } from "../../envoy/bootstrap.ts";

/** What is known of a workload; empty where it is not. */
export interface Workload {
  readonly name: string;
  readonly namespace: string;
  readonly canonicalService: string;
  readonly canonicalRevision: string;
  readonly app: string;
  readonly version: string;
  readonly cluster: string;
}

/** A workload of which nothing is known. */
export const unknownWorkload: Workload = {
  name: "",
  namespace: "",
  canonicalService: "",
  canonicalRevision: "",
  app: "",
  version: "",
  cluster: "",
};

/** This proxy's own workload. Without WORKLOAD_NAME it is taken for a bare pod, whose workload has the pod's name. */
export function workloadOfNode({ metadata }: Node): Workload {
  const labels = typeof metadata["LABELS"] === "object" ? (metadata["LABELS"] as Readonly<Record<string, unknown>> | null) : null;
  const label = (key: string): string => text(labels?.[key]);
  const name = text(metadata["WORKLOAD_NAME"]) || text(metadata["NAME"]);
  return {
    name,
    namespace: text(metadata["NAMESPACE"]),
    // Istio's order of labels for canonical names.
    canonicalService: label("service.istio.io/canonical-name") || label("app.kubernetes.io/name") || label("app") || name,
    canonicalRevision: label("service.istio.io/canonical-revision") || label("app.kubernetes.io/version") || label("version"),
    app: label("app"),
    version: label("version"),
    cluster: text(metadata["CLUSTER_ID"]),
  };
}

/** An endpoint's `istio.workload` metadata: `name;namespace;canonical service;canonical revision;cluster`. */
export function parseWorkload(value: string): Workload {
  const [name = "", namespace = "", canonicalService = "", canonicalRevision = "", cluster = ""] = value.split(";");
  return { ...unknownWorkload, name, namespace, canonicalService, canonicalRevision, cluster };
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");
