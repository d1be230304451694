// `isthmus translate`: a mesh directory, seen from one node, as Envoy v3 JSON on standard output. Issues go to standard error.
import type { Command } from "commander";
import { variablesFromFlag, virtualAddressesFlag } from "../source/mesh/auto-allocate.ts";
import { loadMeshDirectory } from "../source/mesh/directory/load.ts";
import { translate } from "../source/mesh/translate.ts";
import { formatIssue } from "../source/yaml-document.ts";
import { addNodeFlags, type MeshNodeFlags, nodeOfMesh } from "./mesh-node.ts";
import { createSystemLookup, type HostLookup } from "../upstream/discovery/host-lookup.ts";
import { resolveGateways, resolveGatewaysOption } from "./resolve-gateways.ts";

interface TranslateOptions extends MeshNodeFlags {
  readonly mesh: string;
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
  const command = program
    .command("translate")
    .description("print the Envoy resources {cds, eds, lds, rds, nds} of one node of a mesh directory as JSON")
    .requiredOption("--mesh <dir>", "mesh directory: meshconfig.yaml, networks.yaml, k8s/CLUSTER.yaml, istio/*.yaml")
    .option(...virtualAddressesFlag)
    .option(...resolveGatewaysOption)
    .action(async (options: TranslateOptions) => {
      settled.exit(await runTranslate(options, settled));
    });
  addNodeFlags(command);
}

/** 0 when everything was translated, 1 when the node or part of the mesh is wrong; what is right is printed all the same. */
async function runTranslate(options: TranslateOptions, deps: Required<TranslateDeps>): Promise<number> {
  const loaded = await loadMeshDirectory(options.mesh, {
    variables: { ...deps.env, ...variablesFromFlag(options.virtualAddresses) },
  });
  const resolved = await resolveGateways(loaded.mesh, options.mesh, options.resolveGateways === true, deps.lookup);
  for (const issue of [...loaded.issues, ...resolved.issues]) deps.complain(`${formatIssue(issue)}\n`);
  const node = await nodeOfMesh(loaded, options, deps.env);
  if (!node.ok) {
    for (const line of node.complaints) deps.complain(`${line}\n`);
    return 1;
  }
  deps.write(`${JSON.stringify(translate(resolved.mesh, node.node), undefined, 1)}\n`);
  return loaded.issues.some((issue) => issue.severity === "error") ? 1 : 0;
}
