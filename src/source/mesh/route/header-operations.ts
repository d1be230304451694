// Header operations of a VirtualService as the four header fields that routes and weighted clusters have.
import type { Json } from "../envoy-json.ts";
import type { HeaderOperations, HeaderRules } from "../istio/route/http-policy.ts";
import { compareText } from "../registry/service.ts";

/** The header fields of one level, and the host that its rules set. */
export interface HeaderChanges {
  readonly requestAdd: readonly Json[];
  readonly requestRemove: readonly string[];
  readonly responseAdd: readonly Json[];
  readonly responseRemove: readonly string[];
  /** Empty leaves the host alone. */
  readonly authority: string;
}

const isAuthority = (name: string): boolean => /^(:authority|host)$/i.test(name);
// What a header rule may not touch: routing and framing are decided by these.
const isInternal = (name: string): boolean => name.startsWith(":") || name.toLowerCase() === "host";

/** Translates the rules of one level. */
export function headerChanges({ request, response }: HeaderRules): HeaderChanges {
  return {
    requestAdd: additions(request),
    requestRemove: request.remove.filter((name) => !isInternal(name)),
    responseAdd: additions(response),
    responseRemove: response.remove.filter((name) => !isInternal(name)),
    authority: authorityOf(request.set) ?? authorityOf(request.add) ?? "",
  };
}

/** The fields of two levels in one: the second's come last, so that what it sets stands. */
export function joinChanges(first: HeaderChanges, second: HeaderChanges): HeaderChanges {
  return {
    requestAdd: [...first.requestAdd, ...second.requestAdd],
    requestRemove: [...first.requestRemove, ...second.requestRemove],
    responseAdd: [...first.responseAdd, ...second.responseAdd],
    responseRemove: [...first.responseRemove, ...second.responseRemove],
    authority: first.authority === "" ? second.authority : first.authority,
  };
}

/** The fields as they stand in a route or weighted cluster. */
export function headerFields(changes: HeaderChanges): Json {
  return {
    ...(changes.requestAdd.length === 0 ? {} : { request_headers_to_add: changes.requestAdd }),
    ...(changes.requestRemove.length === 0 ? {} : { request_headers_to_remove: changes.requestRemove }),
    ...(changes.responseAdd.length === 0 ? {} : { response_headers_to_add: changes.responseAdd }),
    ...(changes.responseRemove.length === 0 ? {} : { response_headers_to_remove: changes.responseRemove }),
  };
}

function additions({ set, add }: HeaderOperations): readonly Json[] {
  return [
    ...values(set).map((header) => ({ header, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" })),
    // Envoy's default action is to append.
    ...values(add).map((header) => ({ header })),
  ];
}

function values(headers: Readonly<Record<string, string>>): readonly Json[] {
  return Object.entries(headers)
    .filter(([key]) => !isInternal(key))
    .toSorted(([a], [b]) => compareText(a, b))
    .map(([key, value]) => ({ key, ...(value === "" ? {} : { value }) }));
}

function authorityOf(headers: Readonly<Record<string, string>>): string | undefined {
  const value = Object.entries(headers).find(([key]) => isAuthority(key))?.[1];
  return value === "" ? undefined : value;
}
