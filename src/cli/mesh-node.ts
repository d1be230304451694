// The flags that say whose view of a mesh directory is asked for, and the node they name.
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import type { Node } from "../envoy/bootstrap.ts";
import type { Issue } from "../error.ts";
import type { LoadedMesh } from "../source/mesh/directory/load.ts";
import { nodeFromOptions, type NodeFlags, parseNodeFile } from "../source/mesh/node.ts";
import { formatPath } from "../source/yaml-document.ts";

/** As commander reads them. */
export interface MeshNodeFlags extends NodeFlags {
  readonly nodeFile?: string;
}

/** Adds the flags to a command. */
export function addNodeFlags(command: Command): Command {
  return command
    .option("--node-file <file>", "the node as Envoy's core.v3.Node, JSON or YAML: id, locality, metadata")
    .option("--node <id>", "node id sidecar~IP~POD.NAMESPACE~NAMESPACE.svc.cluster.local (or router~...), or a name in nodes.yaml")
    .option("--cluster <name>", "the node's cluster (metadata CLUSTER_ID)")
    .option("--network <name>", "the node's network (metadata NETWORK)")
    .option("--labels <labels>", "the workload's labels, name=value,name=value")
    .option("--locality <locality>", "region/zone/subzone")
    .option("--service-account <name>", "the workload's service account");
}

/** The node, or a line for each thing that is wrong with it. */
export type NamedNode = { readonly ok: true; readonly node: Node } | { readonly ok: false; readonly complaints: readonly string[] };

/** Finds the node that flags, a file or the environment name. */
export async function nodeOfMesh(
  loaded: LoadedMesh,
  flags: MeshNodeFlags,
  env: Readonly<Record<string, string | undefined>>,
): Promise<NamedNode> {
  const base = flags.nodeFile === undefined ? undefined : await readNodeFile(flags.nodeFile);
  if (base !== undefined && !base.ok) return { ok: false, complaints: complaints(flags.nodeFile ?? "", base.issues) };
  const node = nodeFromOptions({
    flags,
    env,
    proxyMetadata: loaded.mesh.config.proxyMetadata,
    named: loaded.nodes,
    ...(base === undefined ? {} : { base: base.value }),
  });
  return node.ok ? { ok: true, node: node.value } : { ok: false, complaints: complaints("", node.issues) };
}

async function readNodeFile(file: string): Promise<ReturnType<typeof parseNodeFile>> {
  try {
    return parseNodeFile(await readFile(file, "utf8"));
  } catch (cause) {
    return {
      ok: false,
      issues: [{ severity: "error", path: [], message: `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}` }],
    };
  }
}

function complaints(file: string, issues: readonly Issue[]): readonly string[] {
  return issues.map((issue) => {
    const where = [file, formatPath(issue.path)].filter((part) => part !== "").join(" ");
    return `${issue.severity}: ${where}: ${issue.message}`;
  });
}
