// StringMatch of networking.istio.io, as HTTP matches and CORS origins use it.
import type { Fields } from "../../object/fields.ts";

/** StringMatch; one that gives nothing asks only for presence. */
export type StringMatch = { readonly kind: "exact" | "prefix" | "regex"; readonly value: string } | { readonly kind: "present" };

/** Reads the mapping of one StringMatch. */
export function readStringMatch(item: Fields): StringMatch {
  const given = (["exact", "prefix", "regex"] as const).flatMap((kind) => {
    const value = item.string(kind);
    return value === undefined ? [] : [{ kind, value }];
  });
  item.finish();
  const [first, second] = given;
  if (second !== undefined) item.error(second.kind, `stands beside ${String(first?.kind)}, expected one of exact, prefix, regex`);
  return first ?? { kind: "present" };
}

/** Reads an optional field that is a StringMatch. */
export function optionalStringMatch(parent: Fields, key: string): StringMatch | undefined {
  const item = parent.child(key);
  return item === undefined ? undefined : readStringMatch(item);
}
