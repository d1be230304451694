// An Envoy bootstrap as a source: the file and every file it refers to.
import type { LocatedIssue } from "../admin/admin-context.ts";
import { checkModule } from "../filter/http/script/check-module.ts";
import { loadBootstrap } from "../source/file/bootstrap.ts";
import { formatIssue } from "../source/yaml-document.ts";
import type { LocatedIssue as FileIssue } from "../source/yaml-document.ts";
import type { ConfigSource } from "./config-source.ts";

/** Which bootstrap. */
export interface BootstrapSourceOptions {
  readonly file: string;
  /** For `environment_variable` data sources. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** A source over a bootstrap file. A load with any error is refused whole: what is in force keeps running. */
export function createBootstrapSource(options: BootstrapSourceOptions): ConfigSource {
  return {
    kind: "bootstrap",
    // Enough for an editor, or whoever copies a file into place, to be done.
    quietMs: 100,
    paths: [options.file],
    load: async () => {
      const loaded = await loadBootstrap(options.file, { checkModule, environment: (name) => options.environment[name] });
      const issues = loaded.issues.map(toText);
      const paths = loaded.files;
      if (!loaded.ok || issues.some((issue) => issue.severity === "error")) return { ok: false, issues, paths };
      const { bootstrap, rejected, json, secretServers } = loaded;
      return {
        ok: true,
        config: {
          node: bootstrap.node,
          admin: bootstrap.admin?.address,
          resources: bootstrap.resources,
          rejected,
          secretServers,
          locate: (issue) => formatIssue(loaded.locateResource(issue)),
          bootstrap: json,
          json: staticResources(json),
          nameTable: undefined,
          issues,
          unfinished: false,
          paths,
        },
      };
    },
  };
}

const toText = (issue: FileIssue): LocatedIssue => ({ severity: issue.severity, text: formatIssue(issue) });

// Routes of a bootstrap stand inside its listeners, endpoints inside its clusters; Envoy dumps them there too.
function staticResources(json: unknown): {
  readonly listeners: readonly unknown[];
  readonly clusters: readonly unknown[];
  readonly routes: readonly unknown[];
  readonly endpoints: readonly unknown[];
} {
  const statics = field(json, "static_resources", "staticResources");
  const list = (name: string): readonly unknown[] => {
    const value = field(statics, name);
    return Array.isArray(value) ? value : [];
  };
  return { listeners: list("listeners"), clusters: list("clusters"), routes: [], endpoints: [] };
}

function field(json: unknown, ...names: readonly string[]): unknown {
  if (typeof json !== "object" || json === null) return undefined;
  for (const name of names) if (Object.hasOwn(json, name)) return (json as Record<string, unknown>)[name];
  return undefined;
}
