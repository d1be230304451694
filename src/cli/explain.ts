// `isthmus explain`: where a request would go from here, step by step, and why; or what a gateway does with a ClientHello.
import type { Command } from "commander";
import { explainBootstrap } from "../explain/bootstrap.ts";
import type { ExplainConfig } from "../explain/config.ts";
import { explain } from "../explain/explain.ts";
import type { Explanation, Warning } from "../explain/explanation.ts";
import { explainMesh } from "../explain/mesh/load.ts";
import { parseQuestion, type Question } from "../explain/question.ts";
import { renderExplanation } from "../explain/render.ts";
import { variablesFromFlag, virtualAddressesFlag } from "../source/mesh/auto-allocate.ts";
import { loadMeshDirectory } from "../source/mesh/directory/load.ts";
import type { LocatedIssue } from "../source/yaml-document.ts";
import type { HostLookup } from "../upstream/discovery/host-lookup.ts";
import { addNodeFlags, type MeshNodeFlags, nodeOfMesh } from "./mesh-node.ts";
import { resolveGateways, resolveGatewaysOption } from "./resolve-gateways.ts";

interface ExplainFlags extends MeshNodeFlags {
  readonly config?: string;
  readonly mesh?: string;
  readonly virtualAddresses?: string;
  readonly resolveGateways?: boolean;
  readonly header: readonly string[];
  readonly tcp?: boolean;
  readonly sni?: string;
  readonly alpn?: string;
  readonly port?: string;
  readonly json?: boolean;
}

/** What the command is composed with. */
export interface ExplainDeps {
  /** Istio's variables, as for `translate`. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Finds the addresses of gateways' host names. Default: this system's. */
  readonly lookup?: HostLookup;
  readonly write: (text: string) => void;
  readonly complain: (text: string) => void;
  readonly exit: (code: number) => void;
  /** Whether text is coloured: a terminal, and NO_COLOR is not set. */
  readonly colour: boolean;
}

const usage = { exitCode: 2, code: "isthmus.usage" };

/** Adds the command to the program. */
export function registerExplain(program: Command, deps: ExplainDeps): void {
  const command = program
    .command("explain")
    .description("say where a request would go from a proxy, or why it would fail: DNS, listener, chain, route, cluster, endpoints, TLS")
    .argument("[request...]", "[METHOD] URL, or HOST[:PORT][/PATH]")
    .option("-c, --config <file>", "Envoy v3 bootstrap, YAML or JSON")
    .option("--mesh <dir>", "mesh directory; the flags below say from which of its proxies")
    .option("--header <header>", "'name: value' of the request, may be repeated; host replaces the URL's", collect, [])
    .option("--tcp", "a TCP connection whose protocol is neither HTTP nor TLS")
    .option("--sni <name>", "what a gateway does with a ClientHello of this server name ('' = none)")
    .option("--alpn <list>", "the protocols that the ClientHello offers: a,b")
    .option("--port <port>", "the gateway's port it arrives at (default: the one whose chains are chosen by SNI)")
    .option("--json", "print the explanation as JSON")
    .option(...virtualAddressesFlag)
    .option(...resolveGatewaysOption);
  addNodeFlags(command);
  command.addHelpText("after", "\nExit codes: 0 it would be sent, 1 it would fail, 2 wrong usage.");
  command.action(async (words: readonly string[], flags: ExplainFlags) => {
    if ((flags.config === undefined) === (flags.mesh === undefined)) command.error("error: give either --config FILE or --mesh DIR", usage);
    const question = questionOf(words, flags);
    if ("problem" in question) return command.error(`error: ${question.problem}`, usage);
    deps.exit(await run(question, flags, deps));
  });
}

const collect = (header: string, before: readonly string[]): readonly string[] => [...before, header];

function questionOf(words: readonly string[], flags: ExplainFlags): Question | { readonly problem: string } {
  if (words.length > 2) return { problem: `"${words[2]}" is too much, expected [METHOD] URL` };
  const [method, target] = words.length === 2 ? words : [undefined, words[0]];
  return parseQuestion({ method, target, headers: flags.header, tcp: flags.tcp, sni: flags.sni, alpn: flags.alpn, port: flags.port });
}

interface Prepared {
  readonly config: ExplainConfig;
  readonly warnings: readonly Warning[];
}

async function run(question: Question, flags: ExplainFlags, deps: ExplainDeps): Promise<number> {
  const prepared = flags.config === undefined ? await prepareMesh(flags, deps) : await prepareBootstrap(flags.config);
  if ("problems" in prepared) {
    for (const problem of prepared.problems) deps.complain(`${problem}\n`);
    return 1;
  }
  const answer = explain(prepared.config, question);
  const explanation: Explanation = { ...answer, warnings: [...prepared.warnings, ...answer.warnings] };
  deps.write(flags.json === true ? `${JSON.stringify(explanation, undefined, 2)}\n` : renderExplanation(explanation, deps.colour));
  return explanation.verdict.sent ? 0 : 1;
}

type Preparation = Prepared | { readonly problems: readonly string[] };

async function prepareMesh(flags: ExplainFlags, deps: ExplainDeps): Promise<Preparation> {
  const loaded = await loadMeshDirectory(flags.mesh ?? "", { variables: { ...deps.env, ...variablesFromFlag(flags.virtualAddresses) } });
  const gateways = await resolveGateways(loaded.mesh, flags.mesh ?? "", flags.resolveGateways === true, deps.lookup);
  const node = await nodeOfMesh(loaded, flags, deps.env);
  if (!node.ok)
    return {
      problems: [...loaded.issues.filter(isError).map(({ file, line, message }) => `${file}:${line} ${message}`), ...node.complaints],
    };
  const { config, problems } = await explainMesh({ ...loaded, mesh: gateways.mesh }, node.node);
  const warnings = problems.map((text): Warning => ({ code: "configuration", text }));
  return { config, warnings: [...refusals(loaded.issues), ...gateways.issues.map(asWarning), ...warnings] };
}

async function prepareBootstrap(file: string): Promise<Preparation> {
  const loaded = await explainBootstrap(file);
  return loaded.ok ? { config: loaded.config, warnings: refusals(loaded.issues) } : loaded;
}

/** What is refused is not part of the explanation, so it has to be said. The rest is for `isthmus check`. */
function refusals(issues: readonly LocatedIssue[]): readonly Warning[] {
  return issues.filter(isError).map(asWarning);
}

const asWarning = ({ file, line, message }: LocatedIssue): Warning => ({ code: "configuration", text: message, place: { file, line } });

const isError = ({ severity }: LocatedIssue): boolean => severity === "error";
