// Contract of compiled routes: what the connection manager and the router see of a RouteConfiguration.
import type { ForwardAction, MirrorPolicy, Route, VirtualHost } from "../../envoy/route/route.ts";
import type { Issue } from "../../error.ts";
import type { Hash64 } from "../../match/xxhash64.ts";
import type { StreamInfo } from "../../telemetry/stream-info.ts";
import type { HeaderMap } from "../../wire/header-map.ts";

/** What routing looks at. The path is already normalised and includes the query. */
export interface RouteRequest {
  readonly headers: HeaderMap;
  /** As in the request, port included; compared case-insensitively. */
  readonly authority: string;
  readonly path: string;
  readonly method: string;
  readonly scheme: string;
  /** Downstream TLS facts for route match `tls`; undefined on plaintext. */
  readonly tls: { readonly presented: boolean; readonly validated: boolean } | undefined;
  /** True when the request came from an internal address, for require_tls EXTERNAL_ONLY. */
  readonly internal: boolean;
  /** What filters have said so far; absent: nothing. */
  readonly info?: RequestFacts;
}

/** What of a request's record routes may ask about. */
export type RequestFacts = Pick<StreamInfo, "dynamicMetadata" | "remote" | "connection">;

/** Header changes of several levels, merged in Envoy's order and compiled. */
export interface HeaderMutator {
  apply(headers: HeaderMap, info: StreamInfo): void;
}

/** The cluster a request goes to, with what belongs to it as a weighted cluster. */
export interface ClusterTarget {
  readonly name: string;
  readonly requestHeaders?: HeaderMutator;
  readonly responseHeaders?: HeaderMutator;
  readonly hostRewrite?: string;
  /** Takes the place of the route's. */
  readonly metadataMatch?: Readonly<Record<string, unknown>>;
}

/** A compiled forward action. */
export interface CompiledForward {
  readonly kind: "route";
  readonly model: ForwardAction;
  /** The route's mirrors, or its virtual host's, or the configuration's. */
  readonly mirrors: readonly MirrorPolicy[];
  /** The cluster for this request; weighted clusters draw `random` in [0,1). `mutators` belong to the chosen weighted cluster. */
  pickCluster(request: RouteRequest, random: number): ClusterTarget;
  /** The path to send upstream, or undefined when it stays. */
  readonly rewritePath: ((path: string, info?: StreamInfo) => string) | undefined;
  /** The host to send upstream, or undefined when it stays. `auto` is resolved by the router. */
  readonly rewriteHost: ((request: RouteRequest, info?: StreamInfo) => string | undefined) | undefined;
  /** Hash of the route's hash policies; `setCookie` is to be added to the response when a cookie was generated. */
  readonly hash:
    | ((
        request: RouteRequest,
        info: Pick<StreamInfo, "remote" | "connection">,
        random?: () => number,
      ) => { readonly hash: Hash64 | undefined; readonly setCookie?: string })
    | undefined;
}

/** A compiled redirect: status and location. */
export interface CompiledRedirect {
  readonly kind: "redirect";
  readonly status: number;
  location(request: RouteRequest): string;
}

/** A compiled direct response. */
export interface CompiledDirectResponse {
  readonly kind: "direct_response";
  readonly status: number;
  readonly body: string;
  /** The body where it is a format. */
  readonly formatBody?: (info: StreamInfo) => string;
  /** Of a formatted body. */
  readonly contentType?: string;
}

/** A route that matched. */
export interface CompiledRoute {
  readonly name: string;
  readonly model: Route | undefined;
  readonly virtualHost: VirtualHost;
  readonly action: CompiledForward | CompiledRedirect | CompiledDirectResponse | { readonly kind: "non_forwarding" };
  /** Route + virtual host + configuration level, or undefined when there is nothing to do. */
  readonly requestHeaders: HeaderMutator | undefined;
  readonly responseHeaders: HeaderMutator | undefined;
  readonly includeAttemptCount: boolean;
  readonly includeAttemptCountInResponse: boolean;
  /** Per-filter override by filter name, most specific level; `configs` has every level's, the most specific one last. */
  filterConfig(name: string): { readonly disabled: boolean; readonly config?: unknown; readonly configs?: readonly unknown[] } | undefined;
}

/** Virtual hosts by name: those to add or replace, and those to take out. */
export interface VirtualHostChange {
  readonly set: readonly VirtualHost[];
  readonly removed: readonly string[];
}

/** A compiled RouteConfiguration. */
export interface RouteTable {
  readonly name: string;
  /** The route, or undefined: 404 NR route_not_found. A virtual host's require_tls gives a redirect route. Never throws. */
  match(request: RouteRequest, random: number): CompiledRoute | undefined;
  /**
   * Replaces some virtual hosts in place; requests that already have their route keep it. Gives what is wrong with the new ones:
   * then nothing changed.
   */
  patch(change: VirtualHostChange): readonly Issue[];
}

/** Route tables by RDS name. */
export interface RouteLookup {
  get(name: string): RouteTable | undefined;
}
