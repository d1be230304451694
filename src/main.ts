// Process edge: arguments, environment, signals and the exit code. Nothing else of the process is touched anywhere.
import v8 from "node:v8";
import { runCli } from "./cli/program.ts";
import type { CliEdge } from "./cli/program.ts";

// The sizes that scripts/isthmus asks for are for this thread, which keeps the configuration. 0 = V8's own.
for (const size of ["max-semi-space-size", "initial-old-space-size"]) v8.setFlagsFromString(`--${size}=0`);

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
