// An Envoy bootstrap as something to ask: its static resources, without the objects of a mesh behind them.
import { filterSupport } from "../filter/registry.ts";
import { buildSnapshot } from "../snapshot/snapshot.ts";
import { loadBootstrap } from "../source/file/bootstrap.ts";
import { formatIssue, type LocatedIssue } from "../source/yaml-document.ts";
import { addressesOf, type ExplainConfig } from "./config.ts";

/** The configuration, or why it cannot be loaded. */
export type BootstrapExplanation =
  | { readonly ok: true; readonly config: ExplainConfig; readonly issues: readonly LocatedIssue[] }
  | { readonly ok: false; readonly problems: readonly string[] };

/** Prepares a bootstrap for questions. */
export async function explainBootstrap(file: string): Promise<BootstrapExplanation> {
  const loaded = await loadBootstrap(file);
  if (!loaded.ok) return { ok: false, problems: loaded.issues.map(formatIssue) };
  const { bootstrap, rejected } = loaded;
  const built = buildSnapshot(bootstrap.resources, { ...filterSupport, rejected });
  return {
    ok: true,
    config: {
      name: bootstrap.node.id === "" ? file : bootstrap.node.id,
      snapshot: built.snapshot,
      addresses: addressesOf(bootstrap.node),
      names: undefined,
      mesh: undefined,
      router: bootstrap.node.id.startsWith("router~"),
    },
    issues: [...loaded.issues, ...built.issues.map(loaded.locateResource)],
  };
}
