// `isthmus check PATH...`: says everything that is wrong with configuration, each with its place, and changes nothing.
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { systemClock } from "../clock.ts";
import { extensions } from "../envoy/extensions.ts";
import { checkModule } from "../filter/http/script/check-module.ts";
import { certificateIssues } from "../proxy/certificates.ts";
import type { SupportedFilters } from "../snapshot/filter-support.ts";
import { buildSnapshot } from "../snapshot/snapshot.ts";
import { loadBootstrap, type LoadBootstrapDeps } from "../source/file/bootstrap.ts";
import { formatIssue, formatPath, type LocatedIssue } from "../source/yaml-document.ts";
import { resolveGatewaysOption } from "./resolve-gateways.ts";

/** What can be asked for beside the paths. */
export interface CheckOptions {
  readonly json?: boolean;
  /** Look up the host names of network gateways. Default: warn about them. */
  readonly resolveGateways?: boolean;
}

/** What the command is composed with. */
export interface CheckDeps {
  /** Filters that this build can run. Default: all that the decoders honour. */
  readonly supported?: SupportedFilters;
  /** Every issue of a mesh directory. Default: mesh directories are an error. */
  readonly checkMesh?: (directory: string, options: CheckOptions) => Promise<readonly LocatedIssue[]>;
  readonly bootstrapDeps?: LoadBootstrapDeps;
  /** Milliseconds since 1970, for certificates. Default: now. */
  readonly nowMs?: () => number;
  /** Default: standard output. */
  readonly write?: (text: string) => void;
  /** Default: sets the process's exit code. */
  readonly exit?: (code: number) => void;
}

/** Adds the command. */
export function registerCheck(program: Command, deps: CheckDeps = {}): void {
  program
    .command("check")
    .description("check Envoy bootstraps and mesh directories, and print every issue as file:line:col")
    .argument("<path...>", "bootstrap files, folders of them, or mesh directories")
    .option("--json", "print a JSON array of issues")
    .option(...resolveGatewaysOption)
    .action(async (paths: string[], options: CheckOptions) => {
      const issues = await checkPaths(paths, deps, options);
      const write = deps.write ?? ((text: string) => void process.stdout.write(text));
      write(options.json === true ? renderJson(issues) : renderText(issues));
      const failed = issues.some((issue) => issue.severity === "error");
      const exit = deps.exit ?? ((code: number) => (process.exitCode = code));
      exit(failed ? 1 : 0);
    });
}

/** Every issue of everything under `paths`, in the order given. */
async function checkPaths(paths: readonly string[], deps: CheckDeps = {}, options: CheckOptions = {}): Promise<readonly LocatedIssue[]> {
  const issues: LocatedIssue[] = [];
  for (const path of paths) issues.push(...(await checkPath(path, deps, options)));
  return issues;
}

function about(file: string, message: string): LocatedIssue {
  return { severity: "error", path: [], message, file, line: 1, column: 1 };
}

async function checkPath(path: string, deps: CheckDeps, options: CheckOptions): Promise<readonly LocatedIssue[]> {
  const names = entriesOf(path);
  if (names === undefined) return checkBootstrap(path, deps);
  if (names.includes("meshconfig.yaml") || names.includes("k8s")) {
    return deps.checkMesh ? deps.checkMesh(path, options) : [about(path, "mesh directories cannot be checked here")];
  }
  const files = names.filter((name) => /\.(ya?ml|json)$/.test(name)).map((name) => join(path, name));
  if (files.length === 0) return [about(path, "neither a mesh directory (meshconfig.yaml, k8s) nor a folder with YAML or JSON files")];
  const issues: LocatedIssue[] = [];
  for (const file of files) issues.push(...(await checkBootstrap(file, deps)));
  return issues;
}

// Undefined for anything but a readable folder; reading it as a file says what is wrong with it.
function entriesOf(path: string): readonly string[] | undefined {
  try {
    return readdirSync(path).sort();
  } catch {
    return undefined;
  }
}

async function checkBootstrap(path: string, deps: CheckDeps): Promise<readonly LocatedIssue[]> {
  const loaded = await loadBootstrap(path, { checkModule, ...deps.bootstrapDeps });
  if (!loaded.ok) return loaded.issues;
  const supported = deps.supported ?? honouredFilters;
  const { issues } = buildSnapshot(loaded.bootstrap.resources, { ...supported, rejected: loaded.rejected });
  const certificates = certificateIssues(loaded.bootstrap.resources, (deps.nowMs ?? systemClock.wallMs)());
  return [...loaded.issues, ...[...issues, ...certificates].map(loaded.locateResource)];
}

/** Every filter that the decoders honour. */
export const honouredFilters: SupportedFilters = {
  supportedListenerFilters: new Set(extensions.honoured("listener filter")),
  supportedNetworkFilters: new Set(extensions.honoured("network filter")),
  supportedHttpFilters: new Set(extensions.honoured("http filter")),
};

function renderText(issues: readonly LocatedIssue[]): string {
  const errors = issues.filter((issue) => issue.severity === "error").length;
  const summary = `${count(errors, "error")}, ${count(issues.length - errors, "warning")}`;
  return [...issues.map(formatIssue), summary].map((line) => `${line}\n`).join("");
}

function count(amount: number, word: string): string {
  return `${amount} ${word}${amount === 1 ? "" : "s"}`;
}

function renderJson(issues: readonly LocatedIssue[]): string {
  const rows = issues.map(({ file, line, column, severity, path, message }) => ({
    file,
    line,
    column,
    severity,
    path: formatPath(path),
    message,
  }));
  return `${JSON.stringify(rows, null, 2)}\n`;
}
