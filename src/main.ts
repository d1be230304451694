// Process edge: arguments, environment, signals and the exit code. Nothing else of the process is touched anywhere.
import { runCli } from "./cli/program.ts";
import type { CliEdge } from "./cli/program.ts";

const edge: CliEdge = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  environment: process.env,
  interactive: process.stdin.isTTY,
  onSignal: (signal, listener) => {
    process.on(signal, listener);
    return () => process.off(signal, listener);
  },
};

// A reader that went away (`isthmus ... | head`) is no fault of this process.
process.stdout.on("error", () => undefined);
process.stderr.on("error", () => undefined);
const code = await runCli(process.argv.slice(2), edge);
if (code !== 0) process.exitCode = code;
