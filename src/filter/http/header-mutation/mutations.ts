// Mutations of one level, compiled. Unlike the header rules of routes each is settled when its turn comes, on what those before
// it have left.
import type { HeaderMutation, Mutations } from "../../../envoy/http-filter/header-mutation.ts";
import type { HttpStream } from "../../../http/stream.ts";
import { compileStringMatcher } from "../../../match/string-matcher.ts";
import type { Formatter } from "../../../telemetry/access-logger.ts";
import { compileFormat } from "../../../telemetry/format.ts";
import type { StreamInfo } from "../../../telemetry/stream-info.ts";
import type { HeaderMap } from "../../../wire/header-map.ts";
import { changeQuery, type QueryChange } from "./query.ts";

/** Changes to a block of fields. */
export type FieldsChange = (fields: HeaderMap, info: StreamInfo) => void;

/** Everything that one level changes. */
export interface CompiledMutations {
  readonly request: (stream: HttpStream) => void;
  readonly requestTrailers: FieldsChange;
  readonly response: FieldsChange;
  readonly responseTrailers: FieldsChange;
}

/** Hears of a format that cannot be compiled. */
type OnProblem = (problem: string) => void;

/** Compiles one level. */
export function compileMutations(mutations: Mutations, onProblem: OnProblem): CompiledMutations {
  const headers = compileFields(mutations.request, onProblem);
  const query = mutations.query.map((mutation): QueryChange => {
    if (mutation.kind === "remove") return mutation;
    return { kind: "append", key: mutation.key, action: mutation.action, value: compileValue(mutation.value, onProblem) };
  });
  return {
    request: (stream) => {
      headers(stream.headers, stream.info);
      if (query.length === 0) return;
      stream.path = changeQuery(stream.path, query, stream.info);
      stream.info.path = stream.path;
    },
    requestTrailers: compileFields(mutations.requestTrailers, onProblem),
    response: compileFields(mutations.response, onProblem),
    responseTrailers: compileFields(mutations.responseTrailers, onProblem),
  };
}

function compileFields(mutations: readonly HeaderMutation[], onProblem: OnProblem): FieldsChange {
  const changes = mutations.map((mutation) => compileChange(mutation, onProblem));
  return (fields, info) => {
    for (const change of changes) change(fields, info);
  };
}

function compileChange(mutation: HeaderMutation, onProblem: OnProblem): FieldsChange {
  switch (mutation.kind) {
    case "remove":
      return (fields) => void fields.remove(mutation.name);
    case "removeOnMatch": {
      const test = compileStringMatcher(mutation.name);
      return (fields) => {
        for (let i = fields.names.length - 1; i >= 0; i--) if (test(fields.names[i]!)) fields.removeAt(i);
      };
    }
    case "append": {
      const { key, appendAction, keepEmptyValue } = mutation.option;
      const format = compileValue(mutation.option.value, onProblem);
      return (fields, info) => {
        const value = format(info);
        if (value === "" && !keepEmptyValue) return;
        if (appendAction === "APPEND_IF_EXISTS_OR_ADD") fields.add(key, value);
        else if (appendAction === "ADD_IF_ABSENT") {
          if (!fields.has(key)) fields.add(key, value);
        } else if (fields.remove(key) || appendAction === "OVERWRITE_IF_EXISTS_OR_ADD") fields.add(key, value);
      };
    }
  }
}

function compileValue(text: string, onProblem: OnProblem): Formatter {
  const compiled = compileFormat(text, { missing: "" });
  if (compiled.ok) return compiled.value;
  for (const { message } of compiled.issues) onProblem(`${text}: ${message}`);
  return () => "";
}
