// Who this proxy is: Envoy's core.v3.Node, read from a file, from nodes.yaml, or put together from flags and Istio's environment.
import { parse as parseYaml } from "yaml";
import type { Issue, Result } from "../../error.ts";
import type { Node } from "../../envoy/bootstrap.ts";
import { type FieldPath, Fields, IssueSink, isMapping } from "./object/fields.ts";
import { parseNodeId } from "./proxy.ts";
import { parseLocality } from "./registry/topology-labels.ts";

/** Flags that name a node, all optional. */
export interface NodeFlags {
  /** `sidecar~IP~POD.NAMESPACE~NAMESPACE.svc.cluster.local` (or `router~...`), or a name in the mesh directory's nodes.yaml. */
  readonly node?: string;
  readonly cluster?: string;
  readonly network?: string;
  /** `name=value,...`. */
  readonly labels?: string;
  /** `region/zone/subzone`. */
  readonly locality?: string;
  readonly serviceAccount?: string;
}

/** Everything a node can be told by. Flags win over a node that is given whole, which stands in place of the environment. */
export interface NodeSources {
  readonly flags?: NodeFlags;
  /** A node given whole: a node file, or the bootstrap's `node`. */
  readonly base?: Node;
  /** Istio's environment: POD_NAME, POD_NAMESPACE, INSTANCE_IP, SERVICE_ACCOUNT, ISTIO_META_*, ISTIO_METAJSON_*. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** `defaultConfig.proxyMetadata` of the mesh: environment that every proxy has unless its own says otherwise. */
  readonly proxyMetadata?: Readonly<Record<string, string>>;
  /** Nodes of the mesh directory, by name. */
  readonly named?: ReadonlyMap<string, Node>;
}

const failed = (path: FieldPath, message: string): Result<Node> => ({ ok: false, issues: [{ severity: "error", path, message }] });

/** Reads core.v3.Node from parsed JSON or YAML. */
export function parseNode(value: unknown, path: FieldPath = []): Result<Node> {
  if (!isMapping(value)) return failed(path, "is no node, expected id, locality and metadata");
  const sink = new IssueSink();
  const node = readNode(new Fields(value, path, sink));
  return sink.failed ? { ok: false, issues: sink.issues } : { ok: true, value: node, issues: sink.issues };
}

/** Reads core.v3.Node from the text of a node file. */
export function parseNodeFile(text: string): Result<Node> {
  try {
    return parseNode(parseYaml(text));
  } catch (cause) {
    return failed([], `is no valid YAML or JSON: ${cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : String(cause)}`);
  }
}

/** Reads nodes.yaml: `nodes`, each with a name beside the fields of core.v3.Node. */
export function readNodes(root: Fields): ReadonlyMap<string, Node> {
  const nodes = new Map<string, Node>();
  root.list("nodes", (item) => {
    const name = item.requiredString("name");
    if (nodes.has(name)) item.error("name", `repeats "${name}"`);
    nodes.set(name, readNode(item));
  });
  root.finish();
  return nodes;
}

function readNode(fields: Fields): Node {
  const id = fields.requiredString("id");
  const parsed = parseNodeId(id);
  if (id !== "" && "problem" in parsed) fields.error("id", parsed.problem);
  const metadata = fields.raw("metadata") ?? {};
  if (!isMapping(metadata)) fields.error("metadata", "is no mapping");
  const own = isMapping(metadata) ? metadata : {};
  const cluster = fields.string("cluster") ?? "";
  fields.ignore(
    "user_agent_name",
    "userAgentName",
    "user_agent_version",
    "userAgentVersion",
    "user_agent_build_version",
    "userAgentBuildVersion",
  );
  fields.ignore(
    "extensions",
    "client_features",
    "clientFeatures",
    "listening_addresses",
    "listeningAddresses",
    "dynamic_parameters",
    "dynamicParameters",
  );
  const text = fields.raw("locality");
  let locality = parseLocality("");
  if (typeof text === "string") {
    locality = parseLocality(text);
  } else {
    const given = fields.child("locality");
    locality = {
      region: given?.string("region") ?? "",
      zone: given?.string("zone") ?? "",
      subZone: given?.string("sub_zone") ?? given?.string("subZone") ?? "",
    };
    given?.finish();
  }
  fields.finish();
  return { id, cluster, locality, metadata: own };
}

/** Puts a node together. Without an id, flag or file, it is POD_NAME.POD_NAMESPACE at INSTANCE_IP. */
export function nodeFromOptions(sources: NodeSources): Result<Node> {
  const flags = sources.flags ?? {};
  const named = flags.node !== undefined && !flags.node.includes("~") ? sources.named?.get(flags.node) : undefined;
  if (flags.node !== undefined && !flags.node.includes("~") && named === undefined) {
    const names = [...(sources.named?.keys() ?? [])].join(", ");
    return failed(
      ["node"],
      `"${flags.node}" is neither a node id nor in nodes.yaml, expected sidecar~IP~POD.NAMESPACE~DOMAIN${names === "" ? "" : ` or one of ${names}`}`,
    );
  }
  const whole = named ?? sources.base;
  const issues: Issue[] = [];
  const env = whole === undefined ? { ...sources.proxyMetadata, ...sources.env } : {};
  const metadata: Record<string, unknown> = { ...whole?.metadata, ...environmentMetadata(env, issues) };
  const id = (flags.node?.includes("~") === true ? flags.node : undefined) ?? whole?.id ?? environmentId(env);
  if (id === undefined)
    return failed(
      ["node"],
      "no node is named, expected --node, --node-file, or POD_NAME, POD_NAMESPACE and INSTANCE_IP in the environment",
    );
  const parsed = parseNodeId(id);
  if ("problem" in parsed) return failed(["node"], parsed.problem);
  const set = (key: string, value: string | undefined): void => {
    if (value !== undefined && value !== "") metadata[key] = value;
  };
  const byDefault = (key: string, value: string | undefined): void => {
    if (metadata[key] === undefined) set(key, value);
  };
  set("CLUSTER_ID", flags.cluster);
  set("NETWORK", flags.network);
  set("SERVICE_ACCOUNT", flags.serviceAccount);
  byDefault("SERVICE_ACCOUNT", env["SERVICE_ACCOUNT"]);
  byDefault("NAMESPACE", parsed.namespace);
  byDefault("NAME", parsed.name);
  byDefault("INSTANCE_IPS", parsed.address);
  if (flags.labels !== undefined) {
    const labels = parseLabels(flags.labels);
    if (labels === undefined) return failed(["labels"], `"${flags.labels}" are no labels, expected name=value,name=value`);
    metadata["LABELS"] = { ...(isMapping(metadata["LABELS"]) ? metadata["LABELS"] : {}), ...labels };
  }
  if (issues.length > 0) return { ok: false, issues };
  const locality = flags.locality === undefined ? (whole?.locality ?? parseLocality("")) : parseLocality(flags.locality);
  return { ok: true, value: { id, cluster: whole?.cluster ?? "", locality, metadata }, issues: [] };
}

function environmentId(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const { POD_NAME: name, POD_NAMESPACE: namespace, INSTANCE_IP: address } = env;
  return name && namespace && address ? `sidecar~${address}~${name}.${namespace}~${namespace}.svc.cluster.local` : undefined;
}

const textPrefix = "ISTIO_META_";
const jsonPrefix = "ISTIO_METAJSON_";

/** ISTIO_META_X=text becomes metadata X as text, ISTIO_METAJSON_X metadata X as what its JSON says. */
function environmentMetadata(env: Readonly<Record<string, string | undefined>>, issues: Issue[]): Record<string, unknown> {
  const metadata: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined) continue;
    if (name.startsWith(textPrefix)) {
      metadata[name.slice(textPrefix.length)] = value;
    } else if (name.startsWith(jsonPrefix)) {
      try {
        const parsed: unknown = JSON.parse(value);
        metadata[name.slice(jsonPrefix.length)] = parsed;
      } catch {
        issues.push({ severity: "error", path: [name], message: "is no valid JSON" });
      }
    }
  }
  return metadata;
}

function parseLabels(text: string): Readonly<Record<string, string>> | undefined {
  const labels: Record<string, string> = {};
  for (const part of text.split(",").filter((each) => each !== "")) {
    const equals = part.indexOf("=");
    if (equals <= 0) return undefined;
    labels[part.slice(0, equals).trim()] = part.slice(equals + 1).trim();
  }
  return labels;
}
