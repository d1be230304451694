// VirtualServices that leave routes to others which are not there, or are not only parts of others.
import { delegateName } from "../istio/join-delegates.ts";
import type { LoadedObject } from "./assemble.ts";
import type { ObjectIssue } from "./object-issue.ts";

/** Every delegation that leads nowhere. */
export function checkDelegates(objects: readonly LoadedObject[]): readonly ObjectIssue[] {
  const all = objects.flatMap(({ known }) => (known.kind === "VirtualService" ? [known.object] : []));
  const delegates = new Set(all.filter(({ spec }) => spec.hosts.length === 0).map(({ meta }) => `${meta.namespace}/${meta.name}`));
  return all.flatMap(({ meta, spec }) =>
    spec.http.flatMap(({ action }, index): readonly ObjectIssue[] => {
      if (action.kind !== "delegate" || delegates.has(delegateName(action, meta.namespace))) return [];
      const message = `names VirtualService ${delegateName(action, meta.namespace)}, which is not there or has hosts of its own: the route is left out`;
      return [{ severity: "warning", meta, path: ["spec", "http", index, "delegate"], message }];
    }),
  );
}
