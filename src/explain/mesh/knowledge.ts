// What a mesh directory knows, put together.
import type { MeshKnowledge } from "../knowledge.ts";
import { knowClusters } from "./clusters.ts";
import type { MeshContext } from "./context.ts";
import { knowEndpoints } from "./endpoints.ts";
import { gatewayAt } from "./gateways.ts";
import { knowNames } from "./names.ts";
import { knowPolicies } from "./policies.ts";

/** Knowledge from one node's point of view. */
export function createMeshKnowledge(context: MeshContext): MeshKnowledge {
  return {
    ...knowNames(context),
    ...knowClusters(context),
    ...knowEndpoints(context),
    ...knowPolicies(context),
    gateway: (address) => gatewayAt(context, address),
  };
}
