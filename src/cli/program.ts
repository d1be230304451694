// The command line: commands, help, and exit codes. 0 fine, 1 what was asked about is wrong, 2 wrong usage.
import { existsSync, readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { addRunCommand } from "./run.ts";

/** The process as commands see it. */
export interface CliEdge {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Calls back for each delivery of the signal; returns how to stop. */
  readonly onSignal: (signal: NodeJS.Signals, listener: () => void) => () => void;
}

/** Adds one command to the program. Its action says the exit code by `setExit`; saying nothing means 0. */
export type AddCommand = (program: Command, edge: CliEdge, setExit: (code: number) => void) => void;

// The order of --help.
const commands: readonly AddCommand[] = [addRunCommand];

/** The version in package.json, from the sources or from dist/ one folder further down. */
export function packageVersion(): string {
  const file = ["../../package.json", "../../../package.json"].map((path) => new URL(path, import.meta.url)).find((url) => existsSync(url));
  return file ? (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version : "unknown";
}

/** Runs one command line (without node and script) and gives the exit code. */
export async function runCli(args: readonly string[], edge: CliEdge, added: readonly AddCommand[] = commands): Promise<number> {
  let exit = 0;
  const program = new Command("isthmus")
    .description("An Envoy-style L4/L7 data plane for meshes that span clusters.")
    .version(packageVersion(), "-V, --version")
    .helpOption("-h, --help", "show what a command does and its options")
    .showSuggestionAfterError(true)
    .showHelpAfterError("(isthmus --help shows what there is)")
    .configureOutput({ writeOut: edge.out, writeErr: edge.err })
    .exitOverride();
  for (const add of added) add(program, edge, (code) => void (exit = code));
  // Commander copies these to commands made by the program, not to ones added whole.
  for (const command of program.commands) command.copyInheritedSettings(program);
  try {
    await program.parseAsync([...args], { from: "user" });
    return exit;
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) throw thrown;
    // Help and version are asked for; everything else that Commander ends is wrong usage.
    return thrown.exitCode === 0 ? 0 : 2;
  }
}
