// Metadata that names the VirtualService a route or filter chain came from.
import type { Json } from "../envoy-json.ts";
import type { ObjectMeta } from "../object/mesh-object.ts";

/** The `metadata` of what a VirtualService has shaped. */
export function virtualServiceMetadata(meta: ObjectMeta): Json {
  return {
    filter_metadata: { istio: { config: `/apis/networking.istio.io/v1/namespaces/${meta.namespace}/virtual-service/${meta.name}` } },
  };
}
