// Runs a test's script in a network namespace of its own: as root directly, else in a user namespace as its root.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { unshareCommand } from "../../src/cli/demo/pod-network.ts";

/** What the script printed between SEEN and END, or why it cannot run here. */
export type InNamespace = { readonly seen: unknown } | { readonly skip: string } | { readonly failed: string };

/** `users`: whether the script acts as users other than root, for which a user namespace must have them mapped. */
export interface NamespaceNeeds {
  readonly users: boolean;
  /** The script lays out pods: it gets mounts and process numbers of its own too, and what it starts ends with it. */
  readonly pods?: boolean;
  readonly timeoutMs: number;
}

/** Runs `script`, which lies beside `base`, with arguments. It prints `SEEN <json> END`. */
export function runInNamespace(base: string, script: string, args: readonly string[], needs: NamespaceNeeds): InNamespace {
  const root = process.getuid?.() === 0;
  const unshare =
    needs.pods === true
      ? unshareCommand(root ? "root" : needs.users ? "mapped" : "single")
      : ["unshare", ...(root ? [] : needs.users ? ["-r", "--map-auto"] : ["-r"]), "-n"];
  const probe = spawnSync("unshare", [...unshare.slice(1), "ip", "link", "set", "lo", "up"], { encoding: "utf8", timeout: 30_000 });
  if (probe.status !== 0)
    return { skip: `no network namespace${root ? "" : " for an ordinary user"}: ${(probe.error?.message ?? probe.stderr).trim()}` };
  // The variable would make the inner process report to this one's test runner instead of printing.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const [file = "", ...rest] = [...unshare, process.execPath, fileURLToPath(new URL(script, base)), ...args];
  const done = spawnSync(file, rest, { encoding: "utf8", timeout: needs.timeoutMs, env });
  const output = `${done.stdout}${done.stderr}`;
  const seen = /SEEN (.*) END/.exec(output)?.[1];
  return seen === undefined ? { failed: output } : { seen: JSON.parse(seen) };
}
