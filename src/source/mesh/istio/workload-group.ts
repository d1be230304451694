// networking.istio.io WorkloadGroup: what a machine that registers itself would be given. It is checked, and moves no traffic.
import type { Fields } from "../object/fields.ts";
import { readWorkloadEndpoint } from "./service-entry.ts";

/** Checks a WorkloadGroup, and says that it does nothing here. */
export function checkWorkloadGroup(root: Fields): null {
  root.warn("spec", "has no effect by itself: it is a template for machines that register, and only a WorkloadEntry is an endpoint");
  const spec = root.child("spec");
  const metadata = spec?.child("metadata");
  metadata?.stringMap("labels");
  metadata?.stringMap("annotations");
  metadata?.finish();
  const template = spec?.child("template");
  if (template === undefined) root.error("spec", "has no template, expected what its WorkloadEntries have in common");
  else if (template.has("address")) template.error("address", "is of one machine, expected none in a template");
  if (template !== undefined) readWorkloadEndpoint(template);
  spec?.ignore("probe");
  spec?.finish();
  return null;
}
