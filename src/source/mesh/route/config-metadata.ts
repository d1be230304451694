// Metadata that names the resource a route or filter chain came from.
import type { Json } from "../envoy-json.ts";
import type { ObjectMeta } from "../object/mesh-object.ts";

/** The `metadata` of what a VirtualService has shaped. */
export function virtualServiceMetadata(meta: Pick<ObjectMeta, "name" | "namespace">): Json {
  return configMetadata("virtual-service", meta);
}

/** The `metadata` of what a Sidecar has shaped; one of the root namespace counts as of the proxy's, as in Istio. */
export function sidecarMetadata(name: string, namespace: string): Json {
  return configMetadata("sidecar", { name, namespace });
}

function configMetadata(kind: string, { name, namespace }: Pick<ObjectMeta, "name" | "namespace">): Json {
  return { filter_metadata: { istio: { config: `/apis/networking.istio.io/v1/namespaces/${namespace}/${kind}/${name}` } } };
}
