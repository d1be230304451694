// The command line: commands, help, and exit codes. 0 fine, 1 what was asked about is wrong, 2 wrong usage.
import { Command, CommanderError } from "commander";
import { systemClock } from "../clock.ts";
import { checkModule } from "../filter/http/script/check-module.ts";
import { filterSupport } from "../filter/registry.ts";
import { gatewayCertificateIssues } from "../proxy/certificates.ts";
import { checkPlugins } from "../source/mesh/directory/check-plugins.ts";
import { loadMeshDirectory } from "../source/mesh/directory/load.ts";
import { registerCa } from "./ca.ts";
import { registerCheck } from "./check.ts";
import { registerDemo } from "./demo.ts";
import { registerExplain } from "./explain.ts";
import { registerInject } from "./inject.ts";
import { registerIntercept } from "./intercept.ts";
import { packageVersion } from "./package-version.ts";
import { registerRequest } from "./request.ts";
import { registerRun } from "./run.ts";
import { registerShell } from "./shell.ts";
import { resolveGateways } from "./resolve-gateways.ts";
import { registerTranslate } from "./translate.ts";

/** The process as commands see it. */
export interface CliEdge {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Standard input is a terminal, whose signals reach child processes without help. */
  readonly interactive?: boolean;
  /** Calls back for each delivery of the signal; returns how to stop. */
  readonly onSignal: (signal: NodeJS.Signals, listener: () => void) => () => void;
}

/** Adds one command to the program. Its action says the exit code by `setExit`; saying nothing means 0. */
export type RegisterCommand = (program: Command, edge: CliEdge, setExit: (code: number) => void) => void;

// The order of --help.
const commands: readonly RegisterCommand[] = [
  registerRun,
  (program, edge, setExit) =>
    registerCheck(program, {
      supported: filterSupport,
      checkMesh: async (folder, options) => {
        const { mesh, issues, missing } = await loadMeshDirectory(folder, { variables: edge.environment });
        const certificates = gatewayCertificateIssues(mesh, systemClock.wallMs());
        const modules = checkPlugins(mesh, folder, checkModule);
        return [
          ...issues,
          ...missing,
          ...certificates,
          ...modules,
          ...(await resolveGateways(mesh, folder, options.resolveGateways === true)).issues,
        ];
      },
      write: edge.out,
      exit: setExit,
    }),
  (program, edge, setExit) => registerTranslate(program, { env: edge.environment, write: edge.out, complain: edge.err, exit: setExit }),
  (program, edge, setExit) =>
    registerExplain(program, {
      env: edge.environment,
      write: edge.out,
      complain: edge.err,
      exit: setExit,
      colour: process.stdout.isTTY && (edge.environment["NO_COLOR"] ?? "") === "",
    }),
  registerCa,
  registerIntercept,
  registerInject,
  registerRequest,
  registerDemo,
  registerShell,
];

/** Runs one command line (without node and script) and gives the exit code. */
export async function runCli(args: readonly string[], edge: CliEdge, registered: readonly RegisterCommand[] = commands): Promise<number> {
  let exit = 0;
  const program = new Command("isthmus")
    .description("An Envoy-style L4/L7 data plane for meshes that span clusters.")
    .version(packageVersion(), "-V, --version")
    .enablePositionalOptions()
    .helpOption("-h, --help", "show what a command does and its options")
    .showSuggestionAfterError(true)
    .showHelpAfterError("(isthmus --help shows what there is)")
    .configureOutput({ writeOut: edge.out, writeErr: edge.err })
    .exitOverride();
  for (const register of registered) register(program, edge, (code) => void (exit = code));
  try {
    await program.parseAsync([...args], { from: "user" });
    return exit;
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) throw thrown;
    // Commands end with a code of their own. Of what Commander ends, help and version were asked for, the rest is wrong usage.
    return thrown.code.startsWith("isthmus.") ? thrown.exitCode : thrown.exitCode === 0 ? 0 : 2;
  }
}
