// A running proxy as something to ask: the snapshot in force, its name table, and how connections failed last. What else workers
// alone know (ejected hosts, open circuit breakers) is on /clusters.
import { compileNamesOfNode } from "../dns/names-of-node.ts";
import type { NameTableJson } from "../dns/name-table.ts";
import type { ServicePorts } from "../dns/service-ports.ts";
import type { Node } from "../envoy/bootstrap.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import type { ClusterDescription } from "../upstream/cluster-description.ts";
import { addressesOf } from "./config.ts";
import { explain } from "./explain.ts";
import type { Explanation } from "./explanation.ts";
import { parseQuestion, type QuestionText } from "./question.ts";
import { renderExplanation } from "./render.ts";

/** What is in force. */
export interface LiveConfig {
  readonly node: Node;
  readonly snapshot: Snapshot;
  readonly nameTable: NameTableJson | undefined;
  readonly servicePorts?: ServicePorts;
  /** What each worker says of its hosts. */
  readonly clusters?: readonly ClusterDescription[];
}

/** Answers a question to a running proxy, or says what is wrong with it. */
export function explainLive(
  { node, snapshot, nameTable, servicePorts, clusters = [] }: LiveConfig,
  text: QuestionText,
): { readonly problem: string } | { readonly explanation: Explanation; readonly text: string } {
  const question = parseQuestion(text);
  if ("problem" in question) return question;
  const config = {
    name: node.id === "" ? "this proxy" : node.id,
    snapshot,
    addresses: addressesOf(node),
    names: nameTable && compileNamesOfNode(node, nameTable, [], servicePorts),
    mesh: undefined,
    router: node.id.startsWith("router~"),
    lastFailure: (cluster: string, address: string) => lastFailureOf(clusters, cluster, address),
  };
  const explanation = explain(config, question);
  return { explanation, text: renderExplanation(explanation, false) };
}

function lastFailureOf(clusters: readonly ClusterDescription[], name: string, address: string): string | undefined {
  const hosts = clusters.filter((cluster) => cluster.name === name).flatMap((cluster) => cluster.hosts);
  return hosts.find((host) => host.address === address && host.lastFailure !== undefined)?.lastFailure;
}
