// Cases of an HTTP filter: a chain, routes, requests, and what is to come of them. They run against this proxy alone
// (test/integration/filter) and beside Envoy with the same bootstrap (test/conformance).

/** One request and what matters of its answer; the order of cases may matter. */
export interface FilterCase {
  readonly title: string;
  /** As it is written to the connection. */
  readonly request: string;
  readonly status: number;
  readonly details: string;
  /** Response flags; none unless given. */
  readonly flags?: string;
  /** Lines of the answer, of its body too: the origin answers with the request as it got it. */
  readonly has?: readonly string[];
  readonly lacks?: readonly string[];
  /** Fields of the access log. */
  readonly log?: Readonly<Record<string, unknown>>;
  /** Posted to the admin address before the request. */
  readonly admin?: string;
}

/** A filter's cases. */
export interface FilterTable {
  readonly name: string;
  readonly filters: readonly object[];
  readonly routes: readonly object[];
  readonly virtualHost?: object;
  readonly routeConfig?: object;
  readonly clusters?: readonly object[];
  /** Further fields of the connection manager. */
  readonly manager?: object;
  /** Formats that are logged beside the usual ones. */
  readonly log?: Readonly<Record<string, string>>;
  readonly cases: readonly FilterCase[];
  /** After all cases. */
  readonly stats: Readonly<Record<string, number>>;
}

const packages = "envoy.extensions.filters.http";

/** An Any of a filter's message: `buffer.v3.Buffer`. */
export function any(type: string, fields: object = {}): object {
  return { "@type": `type.googleapis.com/${packages}.${type}`, ...fields };
}

/** A filter in a chain. */
export function filter(name: string, type: string, fields: object = {}, more: object = {}): object {
  return { name, typed_config: any(type, fields), ...more };
}

/** A route's FilterConfig. */
export function filterConfig(fields: object): object {
  return { "@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", ...fields };
}

/** A route to the origin for a prefix. */
export function route(prefix: string, overrides: object = {}): object {
  return { match: { prefix }, route: { cluster: "origin" }, typed_per_filter_config: overrides };
}

/** A route that answers by itself. */
export function direct(prefix: string, status: number, overrides: object = {}): object {
  return { match: { prefix }, direct_response: { status, body: { inline_string: "direct" } }, typed_per_filter_config: overrides };
}

/** A request; `fields` are whole lines. */
export function request(method: string, path: string, fields: readonly string[] = [], body = "", host = "a.test"): string {
  return [`${method} ${path} HTTP/1.1`, `host: ${host}`, ...fields, "", body].join("\r\n");
}

/** A GET. */
export const get = (path: string, ...fields: readonly string[]): string => request("GET", path, fields);

/** A POST with a length. */
export const post = (path: string, body: string, ...fields: readonly string[]): string =>
  request("POST", path, [...fields, `content-length: ${body.length}`], body);

/** A POST in chunks. */
export function chunked(path: string, ...chunks: readonly string[]): string {
  const body = chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join("");
  return request("POST", path, ["transfer-encoding: chunked"], `${body}0\r\n\r\n`);
}
