// The secrets that a bootstrap refers to by name: those in SDS files are read here, those of SDS servers are named for others to ask.
import { decodeResources } from "../../envoy/bootstrap-decoder.ts";
import type { Address } from "../../envoy/address.ts";
import type { Bootstrap } from "../../envoy/bootstrap.ts";
import { isObject } from "../../envoy/decode/cursor.ts";
import { extensions } from "../../envoy/extensions.ts";
import type { SecretReference } from "../../envoy/tls/secret-reference.ts";
import type { Secret } from "../../envoy/tls/tls.ts";
import type { FileReader } from "../read-file.ts";
import { type LocatedIssue, locateIssue, parseYaml } from "../yaml-document.ts";

/** An SDS server and what is wanted of it. */
export interface SecretServer {
  /** gRPC target: `unix:/path` or `host:port`. */
  readonly target: string;
  readonly names: readonly string[];
}

/** What references led to. */
export interface ReferencedSecrets {
  readonly secrets: readonly Secret[];
  readonly servers: readonly SecretServer[];
  readonly issues: readonly LocatedIssue[];
}

const secretType = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

/** Follows references; `file` is the bootstrap's, for issues that have no file of their own. */
export function followSecretReferences(
  references: readonly SecretReference[],
  bootstrap: Bootstrap,
  file: string,
  readFile: FileReader,
): ReferencedSecrets {
  const secrets = new Map<string, Secret>();
  const servers = new Map<string, Set<string>>();
  const issues: LocatedIssue[] = [];
  const complain = (message: string, where = file): void =>
    void issues.push({ severity: "error", path: [], message, file: where, line: 1, column: 1 });
  const inFiles = new Map<string, Set<string>>();
  for (const { name, source } of references) {
    if (source.kind === "path") add(inFiles, source.path, name);
    else if (source.kind === "cluster") {
      const target = targetOf(bootstrap, source.cluster);
      if (target === undefined) complain(`secret ${name} comes from cluster ${source.cluster}, which has no address here`);
      else add(servers, target, name);
    }
  }
  for (const [path, names] of inFiles) {
    const read = readSecretFile(path, names, readFile);
    issues.push(...read.issues);
    for (const secret of read.secrets) {
      if (secrets.has(secret.name)) complain(`secret ${secret.name} is in more than one SDS file`, path);
      else secrets.set(secret.name, secret);
    }
  }
  return {
    secrets: [...secrets.values()],
    servers: [...servers].map(([target, names]) => ({ target, names: [...names].toSorted() })),
    issues,
  };
}

function add(groups: Map<string, Set<string>>, key: string, name: string): void {
  const group = groups.get(key);
  if (group) group.add(name);
  else groups.set(key, new Set([name]));
}

function targetOf({ resources }: Bootstrap, name: string): string | undefined {
  const cluster = resources.clusters.find((candidate) => candidate.name === name);
  const address = cluster?.loadAssignment?.endpoints[0]?.endpoints[0]?.address;
  // A server that is spoken to in the clear keeps no secrets, unless it is on this machine.
  if (address === undefined || cluster?.transportSocket.kind === "tls") return undefined;
  return formatTarget(address);
}

function formatTarget(address: Address): string {
  if ("pipe" in address) return `unix:${address.pipe}`;
  return address.address.includes(":") ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}

// A DiscoveryResponse as YAML or JSON; resources of other names are others' business.
function readSecretFile(
  path: string,
  names: ReadonlySet<string>,
  readFile: FileReader,
): { readonly secrets: readonly Secret[]; readonly issues: readonly LocatedIssue[] } {
  const failed = (message: string) => ({
    secrets: [],
    issues: [{ severity: "error", path: [], message, file: path, line: 1, column: 1 } as const],
  });
  const content = readFile(path);
  if (!(content instanceof Uint8Array)) return failed(`cannot read the SDS file: ${content.error}`);
  const { documents, issues } = parseYaml(Buffer.from(content).toString("utf8"), path);
  const [document] = documents;
  if (document === undefined || issues.length > 0)
    return { secrets: [], issues: issues.length > 0 ? issues : failed("it is empty").issues };
  const listed = isObject(document.json) ? document.json["resources"] : undefined;
  if (!Array.isArray(listed)) return failed("an SDS file has a list `resources` of secrets");
  const json = listed.flatMap((entry: unknown) => (isWanted(entry, names) ? [withoutType(entry)] : []));
  const missing = [...names].filter((name) => !json.some((entry) => entry["name"] === name));
  const decoded = decodeResources({ secrets: json }, { extensions, readFile });
  const found = decoded.issues.map(({ severity, path: [, index, ...below], message }) =>
    locateIssue(document, {
      severity,
      message,
      path: ["resources", listed.findIndex((entry) => sameName(entry, json[Number(index)])), ...below],
    }),
  );
  return {
    secrets: decoded.resources.secrets,
    issues: [...found, ...missing.flatMap((name) => failed(`has no secret named ${name}`).issues)],
  };
}

type JsonObject = Readonly<Record<string, unknown>>;

function isWanted(entry: unknown, names: ReadonlySet<string>): entry is JsonObject {
  return isObject(entry) && entry["@type"] === secretType && typeof entry["name"] === "string" && names.has(entry["name"]);
}

function withoutType({ "@type": _type, ...json }: JsonObject): JsonObject {
  return json;
}

const sameName = (entry: unknown, wanted: JsonObject | undefined): boolean => isObject(entry) && entry["name"] === wanted?.["name"];
