// A mesh directory as a source: loads it, translates it for this node, and decodes what comes out as any Envoy would have to.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, systemClock } from "../clock.ts";
import type { LocatedIssue } from "../admin/admin-context.ts";
import type { NameTableJson } from "../dns/name-table.ts";
import { decodeResources } from "../envoy/bootstrap-decoder.ts";
import type { Node } from "../envoy/bootstrap.ts";
import { DecodeMemory } from "../envoy/decode/remembered.ts";
import { extensions } from "../envoy/extensions.ts";
import type { Issue } from "../error.ts";
import { checkModule } from "../filter/http/script/check-module.ts";
import type { ResourceIssue } from "../snapshot/resource-issue.ts";
import { variablesFromFlag } from "../source/mesh/auto-allocate.ts";
import { jwksSources } from "../source/mesh/authn/jwks-source.ts";
import { checkGatewayNames } from "../source/mesh/directory/check-gateway-names.ts";
import { checkJwks } from "../source/mesh/directory/check-jwks.ts";
import { loadMeshDirectory } from "../source/mesh/directory/load.ts";
import type { LoadedMesh } from "../source/mesh/directory/load.ts";
import { formatIssue, formatPath } from "../source/yaml-document.ts";
import type { Json, Translation } from "../source/mesh/envoy-json.ts";
import { nodeFromOptions, parseNodeFile } from "../source/mesh/node.ts";
import type { NodeFlags } from "../source/mesh/node.ts";
import { translateSecrets } from "../source/mesh/gateway/credentials.ts";
import { type FileReader, readLocalFile } from "../source/read-file.ts";
import { impliedPorts } from "../source/mesh/route/implied-ports.ts";
import { translateWithPorts } from "../source/mesh/translate.ts";
import { unusableCertificate } from "./certificates.ts";
import { systemRoots } from "./system-roots.ts";
import { gatewayHosts } from "../source/mesh/registry/networks.ts";
import { createSystemLookup, type HostLookup } from "../upstream/discovery/host-lookup.ts";
import { GatewayAddresses } from "./gateway-addresses.ts";
import { type FetchText, JwksKeys } from "./jwks-keys.ts";
import type { ConfigSource, LoadResult, LoadedConfig } from "./config-source.ts";

/** Which mesh, and whose view of it. */
export interface MeshSourceOptions {
  readonly folder: string;
  readonly flags: NodeFlags;
  /** core.v3.Node as JSON or YAML. */
  readonly nodeFile: string | undefined;
  /** `V4/LENGTH,V6/LENGTH`: the ranges of handed-out addresses; default: the environment's, then the mesh's. */
  readonly virtualAddresses?: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** What host names of network gateways are resolved, and key sets fetched, with. Default: this system's resolver and clock. */
export interface MeshSourceDeps {
  readonly lookup?: HostLookup;
  readonly clock?: Clock;
  /** What key sets are fetched with; default: guarded-fetch.ts. */
  readonly fetch?: FetchText;
}

/** A source over a mesh directory. */
export function createMeshSource(options: MeshSourceOptions, deps: MeshSourceDeps = {}): ConfigSource {
  let changed: () => void = () => undefined;
  const { lookup = createSystemLookup(), clock = systemClock } = deps;
  const gateways = new GatewayAddresses({ lookup, clock, onChange: () => changed() });
  const jwks = new JwksKeys({ clock, onChange: () => changed(), ...(deps.fetch ? { fetch: deps.fetch } : {}) });
  // Objects that are bad now keep serving as they were in the load before; that load and what was decoded from it are the only state.
  let lastMesh: LoadedMesh | undefined;
  const memory = new DecodeMemory();
  const variables = { ...options.environment, ...variablesFromFlag(options.virtualAddresses) };
  const paths = options.nodeFile === undefined ? [options.folder] : [options.folder, options.nodeFile];
  return {
    kind: "mesh",
    // Loading itself waits for a file that is being written; this is for changes that come in several files.
    quietMs: 20,
    paths,
    onChange: (listener) => (changed = listener),
    close: () => {
      gateways.close();
      jwks.close();
    },
    load: async (previous) => {
      const loaded = await loadMeshDirectory(options.folder, { variables, ...(lastMesh && previous ? { previous: lastMesh } : {}) });
      const issues: LocatedIssue[] = loaded.issues.map((issue) => ({ severity: issue.severity, text: formatIssue(issue) }));
      const node = await resolveNode(options, loaded, issues);
      if (!node || (!previous && hasErrors(issues))) return { ok: false, issues, paths };
      lastMesh = loaded;
      const [{ addresses, failures }, keys] = await Promise.all([
        gateways.resolve(gatewayHosts(loaded.mesh)),
        jwks.resolve(jwksSources(loaded.mesh)),
      ]);
      const mesh = { ...loaded.mesh, gatewayAddresses: addresses, jwks: keys.keys };
      const unresolved = checkGatewayNames(mesh, join(options.folder, "networks.yaml"), (host) => failures.get(host) ?? "it is not known");
      const unfetched = checkJwks(mesh, (key) => keys.failures.get(key) ?? "they have not come yet");
      issues.push(...[...unresolved, ...unfetched].map((issue) => ({ severity: issue.severity, text: formatIssue(issue) })));
      // What is missing may still come, and everything else is served without it.
      for (const issue of loaded.missing) issues.push({ severity: "warning", text: formatIssue({ ...issue, severity: "warning" }) });
      const { translation, servicePorts } = translateWithPorts(mesh, node);
      const files = new WatchedFiles();
      const decoded = withSecrets(
        decodeTranslation(translation, {
          node,
          memory,
          previous,
          issues,
          unfinished: loaded.unfinished,
          paths,
          readFile: files.read,
          folder: options.folder,
        }),
        translateSecrets(loaded.mesh, node, translation.cds.resources, systemRoots()),
        files,
      );
      return decoded.ok
        ? { ...decoded, config: { ...decoded.config, servicePorts, trustDomain: loaded.mesh.config.trustDomain } }
        : decoded;
    },
  };
}

/** Files that a configuration refers to: read while decoding, watched afterwards, whether they were there or not. */
class WatchedFiles {
  readonly paths = new Set<string>();

  readonly read: FileReader = (path) => {
    this.paths.add(path);
    return readLocalFile(path);
  };
}

// Certificates are judged one by one: one that cannot be used leaves its servers without, or with what they had before.
function withSecrets(result: LoadResult, json: readonly Json[], files: WatchedFiles): LoadResult {
  if (!result.ok) return result;
  const { resources, rejected, issues: found } = decodeResources({ secrets: json }, { extensions, readFile: files.read });
  const { config } = result;
  const issues: LocatedIssue[] = [...config.issues];
  for (const { severity, path, message } of found)
    issues.push({ severity, text: `translated ${describePath(path, { secrets: json })}: ${message}` });
  const refused = [...config.rejected, ...rejected];
  const secrets = resources.secrets.filter(({ name, certificate }) => {
    const problem = certificate && unusableCertificate(certificate, `of secret ${name}`);
    if (problem === undefined) return true;
    issues.push({ severity: "error", text: problem });
    refused.push({ kind: "secrets", name });
    return false;
  });
  return {
    ok: true,
    config: { ...config, resources: { ...config.resources, secrets }, rejected: refused, issues, paths: [...config.paths, ...files.paths] },
  };
}

async function resolveNode(options: MeshSourceOptions, loaded: LoadedMesh, issues: LocatedIssue[]): Promise<Node | undefined> {
  const report = (found: readonly Issue[], where: string): void => {
    for (const { severity, path, message } of found)
      issues.push({ severity, text: `${[where, formatPath(path)].filter((part) => part !== "").join(" ")}: ${message}` });
  };
  let base: Node | undefined;
  if (options.nodeFile !== undefined) {
    const text = await readFile(options.nodeFile, "utf8").catch((thrown: unknown) => {
      issues.push({
        severity: "error",
        text: `${options.nodeFile}: cannot be read: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
      });
      return undefined;
    });
    if (text === undefined) return undefined;
    const parsed = parseNodeFile(text);
    report(parsed.issues, options.nodeFile);
    if (!parsed.ok) return undefined;
    base = parsed.value;
  }
  const node = nodeFromOptions({
    flags: options.flags,
    env: options.environment,
    proxyMetadata: loaded.mesh.config.proxyMetadata,
    named: loaded.nodes,
    ...(base ? { base } : {}),
  });
  report(node.issues, "");
  return node.ok ? node.value : undefined;
}

interface LoadContext {
  readonly node: Node;
  readonly memory: DecodeMemory;
  readonly previous: LoadedConfig | undefined;
  readonly issues: LocatedIssue[];
  readonly unfinished: boolean;
  readonly paths: readonly string[];
  readonly readFile: FileReader;
  /** Of the mesh, which paths of modules are relative to. */
  readonly folder: string;
}

function decodeTranslation(translation: Translation, context: LoadContext): LoadResult {
  const { node, memory, previous, issues, unfinished, paths, readFile, folder } = context;
  const json = {
    clusters: translation.cds.resources,
    endpoints: translation.eds.resources,
    listeners: translation.lds.resources,
    routes: translation.rds.resources,
  };
  const { resources, rejected, issues: found } = decodeResources(json, { extensions, memory, readFile, folder, checkModule });
  for (const { severity, path, message } of found) issues.push({ severity, text: `translated ${describePath(path, json)}: ${message}` });
  if (!previous && hasErrors(issues)) return { ok: false, issues, paths };
  const [names] = translation.nds.resources;
  const nameTable = names as NameTableJson | undefined;
  const locate = ({ kind, name, path, message }: ResourceIssue): string =>
    `translated ${[kind, name, formatPath(path)].filter((part) => part !== "").join(" ")}: ${message}`;
  const meantAbsent = impliedPorts(json.clusters);
  return {
    ok: true,
    config: {
      node,
      admin: undefined,
      resources,
      rejected,
      locate,
      meantAbsent,
      bootstrap: undefined,
      json,
      nameTable,
      issues,
      unfinished,
      paths,
    },
  };
}

// `listeners[3].filter_chains[0]` says little; the resource's name says which.
function describePath(path: Issue["path"], json: Readonly<Record<string, readonly Json[]>>): string {
  const [kind, index, ...below] = path;
  const resource = typeof kind === "string" && typeof index === "number" ? json[kind]?.[index] : undefined;
  const name = resource?.["name"] ?? resource?.["cluster_name"];
  return typeof name === "string" ? `${String(kind)} ${name} ${formatPath(below)}`.trimEnd() : formatPath(path);
}

const hasErrors = (issues: readonly LocatedIssue[]): boolean => issues.some((issue) => issue.severity === "error");
