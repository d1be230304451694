// What an HTTP filter written in TypeScript sees: `import type { ... } from "isthmus/filter-api"`. Types alone, and none from elsewhere,
// so that a copy of this file serves as well. A module exports functions of these names, as many as it needs:
//
//   onRequestHeaders(request, context)         before the request goes on; the body is still to come
//   onRequestBody(body, request, context)      the whole body is there, and was not empty
//   onResponseHeaders(response, context)       before the response goes on
//   onResponseBody(body, response, context)    the whole body is there, and was not empty
//
// Each may be async. A hook may run twice for one request: what was under way in a thread that had to be ended is run again.

/** Header fields. Names are compared without case; what frames a message (content-length and the like) cannot be changed. */
export interface FilterHeaders extends Iterable<readonly [name: string, value: string]> {
  /** The values of a name joined by `, `; undefined where there is none. */
  get(name: string): string | undefined;
  /** Every value of a name. */
  getAll(name: string): readonly string[];
  has(name: string): boolean;
  /** Puts one field in the place of all of that name. Throws a TypeError for what cannot stand in a header. */
  set(name: string, value: string): void;
  /** Adds a field beside those of that name. */
  append(name: string, value: string): void;
  /** Removes every field of a name. */
  delete(name: string): void;
}

/** A request. Without `host`, which is the authority. */
export interface FilterRequest {
  /** Changed: what goes upstream. The route was chosen before. */
  method: string;
  /** With query; begins with `/`. Changed: what goes upstream, unless the route rewrites it. */
  path: string;
  authority: string;
  readonly scheme: string;
  /** `HTTP/1.1`, `HTTP/2` ... */
  readonly protocol: string;
  readonly headers: FilterHeaders;
  /** IP address of the client, as the connection has it. */
  readonly remoteAddress: string;
  /** First URI SAN of the client's verified certificate, e.g. `spiffe://cluster.local/ns/default/sa/sleep`; empty without one. */
  readonly peer: string;
}

/** A response of the upstream, or one the proxy made itself. */
export interface FilterResponse {
  /** 200 to 599. */
  status: number;
  readonly headers: FilterHeaders;
  /** The request as it went upstream. */
  readonly request: Pick<FilterRequest, "method" | "path" | "authority">;
}

/** An answer of the filter's own, in place of what would have come. */
export interface FilterReply {
  /** 200 to 599. */
  readonly status: number;
  /** `content-type` is text/plain unless given. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Text is sent as UTF-8. */
  readonly body?: string | Uint8Array;
}

/** Dynamic metadata: what filters tell each other and access logs (`%DYNAMIC_METADATA(...)%`). */
export interface FilterMetadata {
  /** Everything of one namespace, e.g. of `envoy.filters.http.jwt_authn`. */
  get(namespace: string): Readonly<Record<string, unknown>> | undefined;
  /** JSON values only. Namespace by default: `isthmus.filters.http.script`. */
  set(key: string, value: unknown, namespace?: string): void;
}

/** What the hooks of one request share. */
export interface FilterContext<Config = Readonly<Record<string, unknown>>> {
  /** `config` of the filter, or of the route where it has its own. Frozen. */
  readonly config: Config;
  /** What earlier hooks of this request left for later ones; JSON-like values. */
  readonly state: Record<string, unknown>;
  readonly metadata: FilterMetadata;
}

/** Nothing: the message goes on. A reply: it is sent instead. */
export type HeadersVerdict = FilterReply | undefined | void;

/** Nothing: the body goes on as it is. Text or bytes: in its place. A reply: it is sent instead of the message. */
export type BodyVerdict = string | Uint8Array | FilterReply | undefined | void;

/** What a module may export. */
export interface FilterModule<Config = Readonly<Record<string, unknown>>> {
  onRequestHeaders?(request: FilterRequest, context: FilterContext<Config>): HeadersVerdict | Promise<HeadersVerdict>;
  onRequestBody?(body: Uint8Array, request: FilterRequest, context: FilterContext<Config>): BodyVerdict | Promise<BodyVerdict>;
  onResponseHeaders?(response: FilterResponse, context: FilterContext<Config>): HeadersVerdict | Promise<HeadersVerdict>;
  onResponseBody?(body: Uint8Array, response: FilterResponse, context: FilterContext<Config>): BodyVerdict | Promise<BodyVerdict>;
}
