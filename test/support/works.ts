// Whether a command succeeds, for tests that depend on the programs of the machine.
import { spawnSync } from "node:child_process";

const defaultMs = 30_000;

/** Whether the program is there and ends with 0 in time. */
export function works(
  program: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
  timeout = defaultMs,
): boolean {
  return spawnSync(program, args, { stdio: "ignore", env: { ...process.env, ...environment }, timeout }).status === 0;
}
