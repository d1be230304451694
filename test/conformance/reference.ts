// Where recordings of the real peers are kept, and why a comparison cannot run on this machine. They are not part of this
// repository: $ISTHMUS_ORACLE names the folder.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root folder. */
export const repositoryRoot = fileURLToPath(new URL("../..", import.meta.url));

/** The program under test. */
export const isthmusProgram = path.join(repositoryRoot, "scripts", "isthmus");

/** The folder of recordings. */
export const referenceFolder = path.resolve(process.env["ISTHMUS_ORACLE"] ?? path.join(repositoryRoot, "..", "shared", "oracle"));

/** The wire suite's network namespace; its name is fixed by the suite. */
export const wireNamespace = "lab-s";

/** Why the recorded wire cases cannot run here, or undefined when they can. */
export function wireProblem(): string | undefined {
  if (!fs.existsSync(path.join(referenceFolder, "behaviours", "static", "run.sh"))) return `no recordings in ${referenceFolder}`;
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "needs root on Linux for a network namespace";
  for (const [tool, ...args] of [
    ["ip", "netns", "list"],
    ["openssl", "version"],
    ["python3", "-c", "import yaml"],
  ] as const) {
    if (spawnSync(tool, args, { stdio: "ignore" }).status !== 0) return `${[tool, ...args].join(" ")} does not work here`;
  }
  const namespaces = spawnSync("ip", ["netns", "list"], { encoding: "utf8" }).stdout.split("\n");
  if (namespaces.some((line) => line.split(" ")[0] === wireNamespace))
    return `network namespace ${wireNamespace} is in use: another run, or its rest`;
  return undefined;
}

/** Why translations cannot be compared here, or undefined when they can. */
export function translateProblem(): string | undefined {
  return fs.existsSync(path.join(referenceFolder, "scenarios")) ? undefined : `no recordings in ${referenceFolder}`;
}
