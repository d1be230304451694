// Matchers over dynamic metadata as predicates: what filters before have said about a request or a connection.
import type { MetadataMatcher, ValueMatcher } from "../envoy/metadata-matcher.ts";
import { compileStringMatcher } from "./string-matcher.ts";

/** Dynamic metadata by filter; undefined when no filter has said anything. */
export type DynamicMetadata = ReadonlyMap<string, Readonly<Record<string, unknown>>> | undefined;

/** Tells whether metadata matches. */
export type MetadataTest = (metadata: DynamicMetadata) => boolean;

/** Compiles a matcher. Throws when its regex is not valid RE2. */
export function compileMetadataMatcher({ filter, path, value, invert }: MetadataMatcher): MetadataTest {
  const test = compileValueMatcher(value);
  return (metadata) => test(valueAt(metadata?.get(filter), path)) !== invert;
}

/** What stands at a path in metadata. Own members only: a claim called `constructor` is there when the token has it. */
export function valueAt(from: unknown, path: readonly string[]): unknown {
  let value = from;
  for (const key of path) {
    if (typeof value !== "object" || value === null || Array.isArray(value) || !Object.hasOwn(value, key)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[key];
  }
  return value;
}

type ValueTest = (value: unknown) => boolean;

function compileValueMatcher(model: ValueMatcher): ValueTest {
  switch (model.kind) {
    case "null":
      return (value) => value === null;
    case "string": {
      const test = compileStringMatcher(model.matcher);
      return (value) => typeof value === "string" && test(value);
    }
    case "bool":
      return (value) => value === model.value;
    case "double":
      return (value) => value === model.exact;
    case "range":
      return (value) => typeof value === "number" && value >= model.start && value < model.end;
    case "present":
      // null counts as there, as in Envoy: only what was never said is absent.
      return (value) => (value !== undefined) === model.present;
    case "oneOf": {
      const test = compileValueMatcher(model.item);
      return (value) => Array.isArray(value) && value.some(test);
    }
    case "or": {
      const tests = model.matchers.map(compileValueMatcher);
      return (value) => tests.some((test) => test(value));
    }
  }
}
