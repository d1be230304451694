// A Kubernetes-style object of the mesh directory: who it is, where it was written, and its typed body.
import { type FieldPath, type Fields, isMapping } from "./fields.ts";

/** Where an object starts: a file of the mesh directory, lines and columns from 1. */
export interface ObjectSource {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Where a part of the object stands, the nearest that is there; absent where only the beginning is known. */
  readonly placeOf?: (path: FieldPath) => { readonly line: number; readonly column: number };
}

/** What every object says about itself. */
export interface ObjectMeta {
  readonly kind: string;
  readonly name: string;
  /** Empty for kinds without a namespace, `default` where a namespaced object gives none. */
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** metadata.creationTimestamp in milliseconds; 0 when not given. Older objects win where Istio lets the oldest win. */
  readonly createdAt: number;
  readonly source: ObjectSource;
}

/** An object whose body a reader has understood. */
export interface MeshObject<Spec> {
  readonly meta: ObjectMeta;
  readonly spec: Spec;
}

const clusterScoped: ReadonlySet<string> = new Set(["Node", "Namespace"]);

/** Reads `metadata`; a missing name is reported and leaves the name empty. */
export function readMeta(root: Fields, kind: string, source: ObjectSource): ObjectMeta {
  const metadata = root.child("metadata");
  if (metadata === undefined) {
    if (!root.has("metadata")) root.error("metadata", "is missing, expected a mapping with a name");
    return { kind, name: "", namespace: "", labels: {}, annotations: {}, createdAt: 0, source };
  }
  const created = metadata.raw("creationTimestamp");
  const createdAt = typeof created === "string" ? Date.parse(created) : created instanceof Date ? created.getTime() : 0;
  return {
    kind,
    name: metadata.requiredString("name"),
    namespace: clusterScoped.has(kind) ? "" : (metadata.string("namespace") ?? "default"),
    labels: metadata.stringMap("labels"),
    annotations: metadata.stringMap("annotations"),
    createdAt: Number.isNaN(createdAt) ? 0 : createdAt,
    source,
  };
}

/** The identity of an object within one cluster's view. */
export function objectKey(meta: ObjectMeta): string {
  return `${meta.kind}/${meta.namespace}/${meta.name}`;
}

/** apiVersion and kind of a document, or undefined when it is no object at all. */
export function groupKind(value: unknown): { readonly apiVersion: string; readonly kind: string } | undefined {
  if (!isMapping(value) || typeof value["apiVersion"] !== "string" || typeof value["kind"] !== "string") return undefined;
  return { apiVersion: value["apiVersion"], kind: value["kind"] };
}
