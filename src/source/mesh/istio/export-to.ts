// exportTo of Istio's resources: who may see them.
import type { Fields } from "../object/fields.ts";

/** Reads `exportTo`: names of namespaces, `.` its own, `*` all; `~` (nobody) only where `nobody` is true. Empty is left to MeshConfig. */
export function readExportTo(spec: Fields, nobody = false): readonly string[] {
  const targets = spec.strings("exportTo");
  if (!nobody && targets.includes("~")) spec.error("exportTo", "is ~, which only a ServiceEntry may say: expected . * or namespaces");
  for (const alone of ["*", "~"]) {
    if (targets.length > 1 && targets.includes(alone)) spec.error("exportTo", `has ${alone} beside other values, expected it alone`);
  }
  return targets;
}
