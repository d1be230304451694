// Changes to the parameters of a query string. As in Envoy the parameters come out in the order of their names; unlike there,
// those that are not changed keep the bytes that they had.
import type { QueryMutation } from "../../../envoy/http-filter/header-mutation.ts";
import type { Formatter } from "../../../telemetry/access-logger.ts";
import type { StreamInfo } from "../../../telemetry/stream-info.ts";

/** A compiled change. */
export type QueryChange =
  | Extract<QueryMutation, { readonly kind: "remove" }>
  | (Omit<Extract<QueryMutation, { readonly kind: "append" }>, "value"> & { readonly value: Formatter });

interface Parameter {
  /** Decoded. */
  readonly key: string;
  /** As it is written, with its name. */
  readonly text: string;
}

/** The path with its query changed. */
export function changeQuery(path: string, changes: readonly QueryChange[], info: StreamInfo): string {
  const mark = path.indexOf("?");
  let parameters = mark < 0 ? [] : parse(path.slice(mark + 1));
  for (const change of changes) {
    const has = parameters.some(({ key }) => key === change.key);
    const without = (): Parameter[] => parameters.filter(({ key }) => key !== change.key);
    if (change.kind === "remove") parameters = without();
    else if (change.action === "ADD_IF_ABSENT" ? !has : change.action !== "OVERWRITE_IF_EXISTS" || has) {
      const kept = change.action === "APPEND_IF_EXISTS_OR_ADD" ? parameters : without();
      parameters = [...kept, { key: change.key, text: `${encode(change.key)}=${encode(change.value(info))}` }];
    }
  }
  parameters.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  const before = mark < 0 ? path : path.slice(0, mark);
  return parameters.length === 0 ? before : `${before}?${parameters.map(({ text }) => text).join("&")}`;
}

function parse(query: string): Parameter[] {
  return query
    .split("&")
    .filter((text) => text !== "")
    .map((text) => {
      const equals = text.indexOf("=");
      return { key: decode(equals < 0 ? text : text.slice(0, equals)), text };
    });
}

// One char a byte, as everywhere in headers; an escape that is none stays as it is.
function decode(text: string): string {
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function encode(text: string): string {
  return text.replace(/[^A-Za-z0-9\-_.~]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
}
