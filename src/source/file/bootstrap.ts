// The file source: an Envoy bootstrap as YAML or JSON, with every issue at its line. Reads; watching and publishing are others'.
import { dirname } from "node:path";
import { decodeBootstrap, type RejectedResource, type ResourceKind } from "../../envoy/bootstrap-decoder.ts";
import type { Bootstrap } from "../../envoy/bootstrap.ts";
import { isObject } from "../../envoy/decode/cursor.ts";
import { extensions } from "../../envoy/extensions.ts";
import type { SecretReference } from "../../envoy/tls/secret-reference.ts";
import type { Issue } from "../../error.ts";
import { type FileReader, readLocalFile } from "../read-file.ts";
import { followSecretReferences, type SecretServer } from "./secret-sources.ts";
import { type LocatedIssue, locateIssue, parseYaml, type YamlDocument } from "../yaml-document.ts";

/** What loading needs from outside. */
export interface LoadBootstrapDeps {
  /** Default: the file system. */
  readonly readFile?: FileReader;
  /** Says why a module of a filter does not load. Default: nobody looks. */
  readonly checkModule?: (path: string) => string | undefined;
  /** Default: the process environment. */
  readonly environment?: (name: string) => string | undefined;
}

/** An issue about one resource, its path starting at that resource. */
export interface NamedIssue extends Issue {
  readonly kind: ResourceKind;
  readonly name: string;
  /** Which of several of that name; 0 is the first. */
  readonly occurrence: number;
}

/** A bootstrap that can be used, though some of its resources may have been refused. */
export interface LoadedBootstrap {
  readonly ok: true;
  readonly bootstrap: Bootstrap;
  /** SDS servers that the secrets come from which are not here. */
  readonly secretServers: readonly SecretServer[];
  /** The file as JSON, for dumps. Holds key material where the file does. */
  readonly json: unknown;
  /** Resources left out because of errors. */
  readonly rejected: readonly RejectedResource[];
  readonly issues: readonly LocatedIssue[];
  /** Every file read, the bootstrap first: what to watch. */
  readonly files: readonly string[];
  /** Gives an issue about a resource its place in the file. */
  readonly locateResource: (issue: NamedIssue) => LocatedIssue;
}

/** Nothing to use, and why. */
export interface FailedBootstrap {
  readonly ok: false;
  readonly issues: readonly LocatedIssue[];
  readonly files: readonly string[];
}

/** Reads and decodes a bootstrap. Never throws and never rejects. */
export function loadBootstrap(path: string, deps: LoadBootstrapDeps = {}): Promise<LoadedBootstrap | FailedBootstrap> {
  return Promise.resolve(readBootstrap(path, deps));
}

function readBootstrap(path: string, deps: LoadBootstrapDeps): LoadedBootstrap | FailedBootstrap {
  const readFile = deps.readFile ?? readLocalFile;
  const files = new Set([path]);
  const content = readFile(path);
  const failed = (message: string): FailedBootstrap => ({
    ok: false,
    issues: [{ severity: "error", path: [], message, file: path, line: 1, column: 1 }],
    files: [...files],
  });
  if (!(content instanceof Uint8Array)) return failed(`cannot read the file: ${content.error}`);
  const parsed = parseYaml(Buffer.from(content).toString("utf8"), path);
  const [document, second] = parsed.documents;
  if (parsed.issues.some((issue) => issue.severity === "error")) return { ok: false, issues: parsed.issues, files: [...files] };
  if (document === undefined) return failed("the file is empty");
  if (second !== undefined) {
    const issue = locateIssue(second, { severity: "error", path: [], message: "a bootstrap is one document, and here begins another" });
    return { ok: false, issues: [issue], files: [...files] };
  }
  const readAndNote: FileReader = (name) => {
    files.add(name);
    return readFile(name);
  };
  const references: SecretReference[] = [];
  const decoded = decodeBootstrap(document.json, {
    extensions,
    readFile: readAndNote,
    folder: dirname(path),
    ...(deps.checkModule ? { checkModule: deps.checkModule } : {}),
    environment: deps.environment ?? ((name) => process.env[name]),
    onSecretReference: (reference) => void references.push(reference),
  });
  const referenced = followSecretReferences(references, decoded.bootstrap, path, readAndNote);
  const issues = [...parsed.issues, ...decoded.issues.map((issue) => locateIssue(document, issue)), ...referenced.issues];
  if (!decoded.sound) return { ok: false, issues, files: [...files] };
  const { resources } = decoded.bootstrap;
  const bootstrap = { ...decoded.bootstrap, resources: { ...resources, secrets: [...resources.secrets, ...referenced.secrets] } };
  return {
    ok: true,
    bootstrap,
    secretServers: referenced.servers,
    json: document.json,
    rejected: decoded.rejected,
    issues,
    files: [...files],
    locateResource: (issue) => locateIssue(document, { ...issue, path: resourcePath(document, issue) }),
  };
}

// The way from the root to a resource known by name. Names that Envoy would make up are not in the file: the list is the place then.
function resourcePath(document: YamlDocument, issue: NamedIssue): Issue["path"] {
  for (const section of ["static_resources", "staticResources"]) {
    const statics = isObject(document.json) ? document.json[section] : undefined;
    const entries = isObject(statics) ? statics[issue.kind] : undefined;
    if (!Array.isArray(entries)) continue;
    const matching = entries.flatMap((entry: unknown, index) => (isObject(entry) && entry["name"] === issue.name ? [index] : []));
    const index = matching[issue.occurrence] ?? matching[0];
    return index === undefined ? [section, issue.kind] : [section, issue.kind, index, ...issue.path];
  }
  return issue.path;
}
