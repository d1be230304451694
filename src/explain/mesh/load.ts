// A mesh directory as something to ask: loaded once, translated for the node that is asked, and for gateways on the far side as they come up.
import { compileNamesOfNode } from "../../dns/names-of-node.ts";
import type { NameTableJson } from "../../dns/name-table.ts";
import { decodeResources } from "../../envoy/bootstrap-decoder.ts";
import type { Node } from "../../envoy/bootstrap.ts";
import { extensions } from "../../envoy/extensions.ts";
import { filterSupport } from "../../filter/registry.ts";
import { buildSnapshot } from "../../snapshot/snapshot.ts";
import type { LoadedMesh } from "../../source/mesh/directory/load.ts";
import { viewFromNode } from "../../source/mesh/node-view.ts";
import { buildServiceRegistry } from "../../source/mesh/registry/service-registry.ts";
import { translateWithPorts } from "../../source/mesh/translate.ts";
import { formatPath } from "../../source/yaml-document.ts";
import { addressesOf, type ExplainConfig } from "../config.ts";
import type { MeshContext } from "./context.ts";
import { createMeshKnowledge } from "./knowledge.ts";
import { type ObjectPlaces, placeObjects } from "./objects.ts";

/** A configuration to ask, and what of it cannot be served. */
export interface MeshExplanation {
  readonly config: ExplainConfig;
  readonly problems: readonly string[];
}

/** Prepares the mesh for questions to one node. */
export async function explainMesh(loaded: LoadedMesh, node: Node): Promise<MeshExplanation> {
  return configOf(loaded, node, await placeObjects(loaded));
}

function configOf(loaded: LoadedMesh, node: Node, places: ObjectPlaces): MeshExplanation {
  const { translation, servicePorts } = translateWithPorts(loaded.mesh, node);
  const json = {
    clusters: translation.cds.resources,
    endpoints: translation.eds.resources,
    listeners: translation.lds.resources,
    routes: translation.rds.resources,
  };
  const { resources, rejected, issues } = decodeResources(json, { extensions });
  const built = buildSnapshot(resources, { ...filterSupport, rejected, externalSecret: () => true });
  const view = viewFromNode(loaded.mesh, node);
  const gateways = new Map<string, ExplainConfig>();
  const context: MeshContext = {
    loaded,
    view,
    places,
    registry: buildServiceRegistry(loaded.mesh),
    routes: translation.rds.resources,
    configOf: (far) => {
      const config = gateways.get(far.id) ?? configOf(loaded, far, places).config;
      gateways.set(far.id, config);
      return config;
    },
  };
  const { proxy } = view;
  const [names] = translation.nds.resources;
  return {
    config: {
      name: `${proxy.name}.${proxy.namespace}${proxy.cluster === "" ? "" : ` in ${proxy.cluster}`}`,
      snapshot: built.snapshot,
      addresses: addressesOf(node),
      names: names === undefined ? undefined : compileNamesOfNode(node, names as NameTableJson, [], servicePorts),
      mesh: createMeshKnowledge(context),
      router: proxy.type === "router",
    },
    problems: [
      ...issues.filter(({ severity }) => severity === "error").map(({ path, message }) => `${formatPath(path)}: ${message}`),
      ...built.issues.filter(({ severity }) => severity === "error").map(({ kind, name, message }) => `${kind} ${name}: ${message}`),
    ],
  };
}
