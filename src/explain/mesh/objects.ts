// The YAML objects of a mesh directory and the lines of their parts, read from the files as they were loaded.
import type { LoadedMesh } from "../../source/mesh/directory/load.ts";
import type { ObjectMeta } from "../../source/mesh/object/mesh-object.ts";
import { locate, type YamlDocument } from "../../source/yaml-document.ts";
import type { Place } from "../explanation.ts";

/** Finds places. */
export interface ObjectPlaces {
  /** The line of an object, or of a part of it. */
  of(meta: ObjectMeta, path?: readonly (string | number)[]): Place;
}

interface Found {
  readonly document: YamlDocument;
  readonly at: readonly (string | number)[];
}

/** Reads the documents of Istio's resources again, which the load has in memory, so that their parts can be placed. */
export async function placeObjects({ mesh, memory }: LoadedMesh): Promise<ObjectPlaces> {
  const files = new Set(
    [
      ...mesh.virtualServices,
      ...mesh.destinationRules,
      ...mesh.sidecars,
      ...mesh.authorizationPolicies,
      ...mesh.requestAuthentications,
    ].map(({ meta }) => meta.source.file),
  );
  const documents = new Map<string, Found>();
  for (const file of files) {
    const parsed = await memory.files.read(file);
    if (!("documents" in parsed)) continue;
    for (const document of parsed.documents) {
      for (const { object, at } of memory.reader.read(document, { place: "istio", cluster: "" }).objects)
        documents.set(keyOf(object.known.object.meta), { document, at });
    }
  }
  return {
    of: (meta, path = []) => {
      const found = path.length === 0 ? undefined : documents.get(keyOf(meta));
      if (found === undefined) return { file: meta.source.file, line: meta.source.line };
      return { file: meta.source.file, line: locate(found.document, [...found.at, ...path]).line };
    },
  };
}

const keyOf = ({ kind, namespace, name, source }: ObjectMeta): string => [source.file, kind, namespace, name].join("\n");
