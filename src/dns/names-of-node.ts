// Istio's name table as one node's responder knows it: whose short names are meant follows from the node.
import type { Node } from "../envoy/bootstrap.ts";
import { compileNameTable, type NameTable, type NameTableJson } from "./name-table.ts";
import type { ServicePorts } from "./service-ports.ts";

/**
 * Compiles the table of a node whose id is `type~ip~name.namespace~domain`; a node of another form has no short names.
 * @param expandFullNames as in NameTableOptions
 */
export function compileNamesOfNode(
  node: Pick<Node, "id" | "metadata">,
  nameTable: NameTableJson,
  searchDomains: readonly string[],
  servicePorts?: ServicePorts,
  expandFullNames = true,
): NameTable {
  const [, , workload = "", proxyDomain = ""] = node.id.split("~");
  const namespace = node.metadata["NAMESPACE"];
  const proxyNamespace = typeof namespace === "string" ? namespace : workload.slice(workload.lastIndexOf(".") + 1);
  return compileNameTable(nameTable, { proxyDomain, proxyNamespace, searchDomains, expandFullNames }, servicePorts);
}
