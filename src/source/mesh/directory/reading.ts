// One document of a mesh directory as the objects it holds, read once for as long as its text stays the same.
import type { Issue } from "../../../error.ts";
import { locate, type YamlDocument } from "../../yaml-document.ts";
import { type FieldPath, Fields, IssueSink, isMapping } from "../object/fields.ts";
import { groupKind, objectKey, type ObjectSource, readMeta } from "../object/mesh-object.ts";
import type { LoadedObject } from "./assemble.ts";
import { readerFor } from "./kinds.ts";

/** Which part of the directory a document stands in; `cluster` is empty for Istio's resources. */
export interface DocumentPlace {
  readonly place: "k8s" | "istio";
  readonly cluster: string;
}

/** An object of a document. */
export interface ReadObject {
  readonly object: LoadedObject;
  readonly at: FieldPath;
  /** It has errors and is not to be used. */
  readonly failed: boolean;
}

/** What a document says. */
export interface Reading {
  readonly objects: readonly ReadObject[];
  readonly issues: readonly Issue[];
  /** Where the document stands now: text above it comes and goes. */
  readonly holder: { document: YamlDocument };
}

/** Reads documents and remembers what they said. */
export class DocumentReader {
  readonly #known = new WeakMap<object, Reading>();

  /** The objects of a document; the same ones as before when its content is the same object as before. */
  read(document: YamlDocument, where: DocumentPlace): Reading {
    const { json } = document;
    const known = isMapping(json) ? this.#known.get(json) : undefined;
    if (known !== undefined) {
      known.holder.document = document;
      return known;
    }
    const reading = { objects: [], issues: [], holder: { document } };
    readObject(reading, where, json, []);
    if (isMapping(json)) this.#known.set(json, reading);
    return reading;
  }
}

interface Gathering {
  readonly objects: ReadObject[];
  readonly issues: Issue[];
  readonly holder: { readonly document: YamlDocument };
}

function readObject(reading: Gathering, where: DocumentPlace, value: unknown, at: FieldPath): void {
  const report = (severity: Issue["severity"], message: string): void => {
    reading.issues.push({ severity, path: at, message });
  };
  const identity = groupKind(value);
  if (identity === undefined || !isMapping(value)) {
    report("error", "is no object, expected apiVersion and kind");
    return;
  }
  if (identity.kind === "List" && Array.isArray(value["items"])) {
    value["items"].forEach((item: unknown, index) => readObject(reading, where, item, [...at, "items", index]));
    return;
  }
  const verdict = readerFor(where.place, identity.apiVersion, identity.kind);
  if (verdict.kind !== "read") {
    report(verdict.kind === "refused" ? "error" : "warning", verdict.message);
    return;
  }
  const sink = new IssueSink();
  const root = new Fields(value, at, sink);
  root.ignore("apiVersion", "kind", "status");
  const meta = readMeta(root, identity.kind, sourceOf(reading.holder, at));
  const known = verdict.read(root, meta);
  const key = `${where.cluster}/${objectKey(meta)}`;
  reading.issues.push(...sink.issues);
  reading.objects.push({ object: { key, cluster: where.cluster, known, kept: false }, at, failed: sink.failed });
}

/** Finding a line means parsing for positions, so it waits until somebody wants to show it. */
function sourceOf(holder: { readonly document: YamlDocument }, at: FieldPath): ObjectSource {
  return {
    get file() {
      return holder.document.file;
    },
    get line() {
      return locate(holder.document, at).line;
    },
    get column() {
      return locate(holder.document, at).column;
    },
    placeOf: (path) => locate(holder.document, [...at, ...path]),
  };
}
