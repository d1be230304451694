// A running proxy as something to ask: the snapshot in force and its name table. What workers alone know (ejected hosts, open
// circuit breakers) is on /clusters.
import { compileNamesOfNode } from "../dns/names-of-node.ts";
import type { NameTableJson } from "../dns/name-table.ts";
import type { ServicePorts } from "../dns/service-ports.ts";
import type { Node } from "../envoy/bootstrap.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
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
}

/** Answers a question to a running proxy, or says what is wrong with it. */
export function explainLive(
  { node, snapshot, nameTable, servicePorts }: LiveConfig,
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
  };
  const explanation = explain(config, question);
  return { explanation, text: renderExplanation(explanation, false) };
}
