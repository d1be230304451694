// The pods that Kubernetes objects describe: where in the object they stand, and what the workload is called.

/** Plain JSON. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** One pod, or template of pods, in an object. */
export interface PodPlace {
  /** Path of the mapping with the pod's `metadata` and `spec`. */
  readonly path: readonly (string | number)[];
  readonly pod: JsonObject;
  readonly kind: string;
  readonly apiVersion: string;
  readonly name: string;
  readonly namespace: string | undefined;
}

/** Where each kind keeps the template of its pods. */
const templates: Readonly<Record<string, readonly string[]>> = {
  Pod: [],
  Deployment: ["spec", "template"],
  ReplicaSet: ["spec", "template"],
  ReplicationController: ["spec", "template"],
  StatefulSet: ["spec", "template"],
  DaemonSet: ["spec", "template"],
  Job: ["spec", "template"],
  CronJob: ["spec", "jobTemplate", "spec", "template"],
};

/** Groups that those kinds are of; the same word in another group is somebody else's kind. */
const groups = /^(?:(?:apps|batch)\/)?v1$/;

/** Whether JSON is an object. */
export const isObject = (value: unknown): value is JsonObject => typeof value === "object" && value !== null && !Array.isArray(value);

/** Pods of an object; those of a list's items too. */
export function findPods(object: unknown, path: readonly (string | number)[] = []): readonly PodPlace[] {
  if (!isObject(object)) return [];
  const { kind, apiVersion, items } = object;
  if (typeof kind !== "string" || typeof apiVersion !== "string" || !groups.test(apiVersion)) return [];
  if (kind.endsWith("List") && Array.isArray(items))
    return items.flatMap((item, index) => findPods(typed(item, object), [...path, "items", index]));
  const template = Object.hasOwn(templates, kind) ? templates[kind] : undefined;
  if (template === undefined) return [];
  const pod = template.reduce<unknown>((at, key) => (isObject(at) ? at[key] : undefined), object);
  if (!isObject(pod)) return [];
  const metadata = isObject(object["metadata"]) ? object["metadata"] : {};
  return [{ path: [...path, ...template], pod, kind, apiVersion, name: nameOf(metadata), namespace: textOf(metadata["namespace"]) }];
}

// Items of a DeploymentList may leave out what the list says already.
function typed(item: unknown, { kind, apiVersion }: JsonObject): unknown {
  if (!isObject(item) || kind === "List" || item["kind"] !== undefined) return item;
  return { kind: String(kind).slice(0, -"List".length), apiVersion, ...item };
}

const textOf = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);
const nameOf = (metadata: JsonObject): string =>
  textOf(metadata["name"]) ?? textOf(metadata["generateName"])?.replace(/-$/, "") ?? "unnamed";
