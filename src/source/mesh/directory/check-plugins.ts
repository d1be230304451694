// WasmPlugins whose module does not load: each is an error at its url.
import { resolve } from "node:path";
import type { LocatedIssue } from "../../yaml-document.ts";
import type { MeshView } from "../mesh-view.ts";
import { placeIssue } from "./object-issue.ts";

/**
 * Every plugin that does not load.
 * @param folder of the mesh, which relative paths begin at
 * @param check why a module does not load, undefined when it does
 */
export function checkPlugins(mesh: MeshView, folder: string, check: (path: string) => string | undefined): readonly LocatedIssue[] {
  return mesh.wasmPlugins.flatMap(({ meta, spec }) => {
    const problem = spec.module === undefined ? undefined : check(resolve(folder, spec.module));
    if (problem === undefined) return [];
    return [placeIssue({ meta, severity: "error", path: ["spec", "url"], message: `leads to a module that does not load: ${problem}` })];
  });
}
