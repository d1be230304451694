// `isthmus translate`: a mesh directory, seen from one node, as Envoy v3 JSON on standard output. Issues go to standard error.
import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { variablesFromFlag, virtualAddressesFlag } from "../source/mesh/auto-allocate.ts";
import { loadMeshDirectory } from "../source/mesh/directory/load.ts";
import { nodeFromOptions, parseNodeFile } from "../source/mesh/node.ts";
import { translate } from "../source/mesh/translate.ts";
import { formatIssue, formatPath } from "../source/yaml-document.ts";
import type { Issue } from "../error.ts";
import { createSystemLookup, type HostLookup } from "../upstream/discovery/host-lookup.ts";
import { resolveGateways, resolveGatewaysOption } from "./resolve-gateways.ts";

interface TranslateOptions {
  readonly mesh: string;
  readonly nodeFile?: string;
  readonly node?: string;
  readonly cluster?: string;
  readonly network?: string;
  readonly labels?: string;
  readonly locality?: string;
  readonly serviceAccount?: string;
  readonly virtualAddresses?: string;
  readonly resolveGateways?: boolean;
}

/** What the command is composed with. */
export interface TranslateDeps {
  /** Istio's variables: of the mesh's address allocation, and of a node that no flag and no file names. Default: the process's. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Finds the addresses of gateways' host names. Default: this system's. */
  readonly lookup?: HostLookup;
  /** Default: standard output. */
  readonly write?: (text: string) => void;
  /** Default: standard error. */
  readonly complain?: (text: string) => void;
  /** Default: sets the process's exit code. */
  readonly exit?: (code: number) => void;
}

/** Adds the command to the program. */
export function registerTranslate(program: Command, deps: TranslateDeps = {}): void {
  const settled: Required<TranslateDeps> = {
    env: deps.env ?? process.env,
    lookup: deps.lookup ?? createSystemLookup(),
    write: deps.write ?? ((text) => void process.stdout.write(text)),
    complain: deps.complain ?? ((text) => void process.stderr.write(text)),
    exit: deps.exit ?? ((code) => (process.exitCode = code)),
  };
  program
    .command("translate")
    .description("print the Envoy resources {cds, eds, lds, rds, nds} of one node of a mesh directory as JSON")
    .requiredOption("--mesh <dir>", "mesh directory: meshconfig.yaml, networks.yaml, k8s/CLUSTER.yaml, istio/*.yaml")
    .option("--node-file <file>", "the node as Envoy's core.v3.Node, JSON or YAML: id, locality, metadata")
    .option("--node <id>", "node id sidecar~IP~POD.NAMESPACE~NAMESPACE.svc.cluster.local (or router~...), or a name in nodes.yaml")
    .option("--cluster <name>", "the node's cluster (metadata CLUSTER_ID)")
    .option("--network <name>", "the node's network (metadata NETWORK)")
    .option("--labels <labels>", "the workload's labels, name=value,name=value")
    .option("--locality <locality>", "region/zone/subzone")
    .option("--service-account <name>", "the workload's service account")
    .option(...virtualAddressesFlag)
    .option(...resolveGatewaysOption)
    .action(async (options: TranslateOptions) => {
      settled.exit(await runTranslate(options, settled));
    });
}

/** 0 when everything was translated, 1 when the node or part of the mesh is wrong; what is right is printed all the same. */
async function runTranslate(options: TranslateOptions, deps: Required<TranslateDeps>): Promise<number> {
  const loaded = await loadMeshDirectory(options.mesh, {
    variables: { ...deps.env, ...variablesFromFlag(options.virtualAddresses) },
  });
  const resolved = await resolveGateways(loaded.mesh, options.mesh, options.resolveGateways === true, deps.lookup);
  for (const issue of [...loaded.issues, ...resolved.issues]) deps.complain(`${formatIssue(issue)}\n`);
  const base = options.nodeFile === undefined ? undefined : await readNodeFile(options.nodeFile);
  if (base !== undefined && !base.ok) return complain(deps, options.nodeFile ?? "", base.issues);
  const node = nodeFromOptions({
    flags: options,
    env: deps.env,
    proxyMetadata: loaded.mesh.config.proxyMetadata,
    named: loaded.nodes,
    ...(base === undefined ? {} : { base: base.value }),
  });
  if (!node.ok) return complain(deps, "", node.issues);
  deps.write(`${JSON.stringify(translate(resolved.mesh, node.value), undefined, 1)}\n`);
  return loaded.issues.some((issue) => issue.severity === "error") ? 1 : 0;
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

function complain(deps: Required<TranslateDeps>, file: string, issues: readonly Issue[]): number {
  for (const issue of issues) {
    const path = formatPath(issue.path);
    deps.complain(`${issue.severity}: ${[file, path].filter((part) => part !== "").join(" ")}: ${issue.message}\n`);
  }
  return 1;
}
