// The pod whose annotations say what to intercept: from a YAML file, or from a mesh directory by the node's name.
import { readFile } from "node:fs/promises";
import type { Issue, Result } from "../error.ts";
import { flagsFromAnnotations } from "../intercept/annotations.ts";
import type { GivenFlags } from "../intercept/flags.ts";
import { loadMeshDirectory } from "../source/mesh/directory/load.ts";
import { nodeFromOptions } from "../source/mesh/node.ts";
import { isMapping } from "../source/mesh/object/fields.ts";
import { describeProxy } from "../source/mesh/proxy.ts";
import { formatIssue, parseYaml } from "../source/yaml-document.ts";

/** What a pod says. */
export interface PodFlags {
  readonly flags: GivenFlags;
  /** Environment that every proxy of the mesh has, init containers included. */
  readonly variables: Readonly<Record<string, string>>;
}

function failed(message: string): Result<PodFlags> {
  return { ok: false, issues: [{ severity: "error", path: [], message }] };
}

function podFlags(annotations: Readonly<Record<string, string>>, variables: Readonly<Record<string, string>>): Result<PodFlags> {
  const read = flagsFromAnnotations(annotations);
  return read.ok ? { ok: true, value: { flags: read.value, variables }, issues: read.issues } : read;
}

/** Flags of the only pod in a file: a Pod, or a workload with a template of one. */
export async function podFlagsFromFile(file: string): Promise<Result<PodFlags>> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    return failed(`${file} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  const { documents, issues } = parseYaml(text, file);
  if (issues[0] !== undefined) return failed(formatIssue(issues[0]));
  const pods = documents.flatMap(({ json }) => podMetadata(json));
  if (pods.length !== 1) return failed(`${file} has ${pods.length} pods, expected one Pod, or one workload with a template`);
  const annotations = pods[0]?.["annotations"] ?? {};
  if (!isMapping(annotations)) return failed(`${file}: metadata.annotations is no mapping`);
  const wrong = Object.entries(annotations).find(([, value]) => typeof value !== "string");
  if (wrong !== undefined) return failed(`${file}: annotation ${wrong[0]} is no string; quote it`);
  return podFlags(annotations as Readonly<Record<string, string>>, {});
}

// Metadata of the pods that a document describes.
function podMetadata(document: unknown): readonly Readonly<Record<string, unknown>>[] {
  if (!isMapping(document)) return [];
  const { kind, metadata, spec } = document;
  if (kind === "Pod") return [isMapping(metadata) ? metadata : {}];
  if (kind === "List" && Array.isArray(document["items"])) return document["items"].flatMap(podMetadata);
  if (!isMapping(spec)) return [];
  const template = kind === "CronJob" && isMapping(spec["jobTemplate"]) ? spec["jobTemplate"]["spec"] : spec;
  const pod = isMapping(template) ? template["template"] : undefined;
  return isMapping(pod) ? [isMapping(pod["metadata"]) ? pod["metadata"] : {}] : [];
}

/** Flags of the pod of a node in a mesh directory. The node's INTERCEPTION_MODE counts where the pod does not say. */
export async function podFlagsFromMesh(
  directory: string,
  node: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Result<PodFlags>> {
  const loaded = await loadMeshDirectory(directory, { variables: environment });
  const refused = loaded.issues
    .filter(({ severity }) => severity === "error")
    .map((issue): Issue => ({ ...issue, severity: "warning", path: [], message: formatIssue(issue) }));
  const { config, clusters } = loaded.mesh;
  const found = nodeFromOptions({
    flags: node === undefined ? {} : { node },
    env: environment,
    proxyMetadata: config.proxyMetadata,
    named: loaded.nodes,
  });
  if (!found.ok) return found;
  const proxy = describeProxy(found.value);
  const pods = clusters
    .filter(({ name }) => proxy.cluster === "" || name === proxy.cluster)
    .flatMap(({ pods: own }) => own)
    .filter(({ meta }) => meta.name === proxy.name && meta.namespace === proxy.namespace);
  const [pod, ...rest] = pods;
  if (pod === undefined)
    return failed(
      `${directory} has no Pod ${proxy.name} in namespace ${proxy.namespace}${proxy.cluster === "" ? "" : ` of cluster ${proxy.cluster}`}`,
    );
  if (rest.length > 0)
    return failed(
      `${directory} has ${pods.length} Pods ${proxy.name} in namespace ${proxy.namespace}: name a node of nodes.yaml, which has a cluster`,
    );
  const read = podFlags({ "sidecar.istio.io/interceptionMode": proxy.interception, ...pod.meta.annotations }, config.proxyMetadata);
  return read.ok ? { ...read, issues: [...refused, ...read.issues] } : read;
}
