// Envoy route.v3.RouteConfiguration, narrowed. Policies that later filters and balancers honour are carried as data.
import type { Metadata } from "../address.ts";
import type { BodyFormat } from "../body-format.ts";
import type { MetadataMatcher } from "../metadata-matcher.ts";
import type { InternalRedirectPolicy } from "./internal-redirect.ts";
import type { HeaderMatcher, PathMatcher, QueryParameterMatcher, StringMatcher } from "../string-matcher.ts";
import type { RateLimitPolicy } from "./rate-limit.ts";

/** core.v3.HeaderValueOption. `value` may hold `%COMMAND%` operators. `key` is lower case. */
export interface HeaderValueOption {
  readonly key: string;
  readonly value: string;
  readonly appendAction: "APPEND_IF_EXISTS_OR_ADD" | "ADD_IF_ABSENT" | "OVERWRITE_IF_EXISTS_OR_ADD" | "OVERWRITE_IF_EXISTS";
  readonly keepEmptyValue: boolean;
}

/** Header changes of one level (route configuration, virtual host, route or weighted cluster). */
export interface HeaderMutations {
  readonly requestAdd: readonly HeaderValueOption[];
  readonly requestRemove: readonly string[];
  readonly responseAdd: readonly HeaderValueOption[];
  readonly responseRemove: readonly string[];
}

/** route.v3.RetryPolicy.RateLimitedRetryBackOff. */
export interface RateLimitedBackOff {
  /** The first that is there and can be read counts. `name` is lower case. */
  readonly resetHeaders: readonly { readonly name: string; readonly format: "SECONDS" | "UNIX_TIMESTAMP" }[];
  /** A longer wait is not waited for; default 300 s. */
  readonly maxMs: number;
}

/** route.v3.RetryPolicy. */
export interface RetryPolicy {
  /** Conditions, e.g. `5xx`, `connect-failure`, `reset-before-request`. */
  readonly retryOn: readonly string[];
  readonly numRetries: number;
  /** 0 = none. */
  readonly perTryTimeoutMs: number;
  readonly perTryIdleTimeoutMs: number;
  readonly retriableStatusCodes: readonly number[];
  readonly retriableHeaders: readonly HeaderMatcher[];
  /** Only requests that meet one of these are tried again; empty = all. */
  readonly retriableRequestHeaders: readonly HeaderMatcher[];
  /** rate_limited_retry_back_off: how long a response may ask to wait, and by which headers. */
  readonly rateLimitedBackOff?: RateLimitedBackOff;
  /** Default 25 ms, and ten times that for the maximum. */
  readonly backOffBaseMs: number;
  readonly backOffMaxMs: number;
  /** retry_host_predicate previous_hosts is configured. */
  readonly avoidPreviousHosts: boolean;
  readonly hostSelectionRetryMaxAttempts: number;
}

/** route.v3.RouteAction.HashPolicy. */
export type HashPolicy =
  | {
      readonly kind: "header";
      readonly name: string;
      /** What of the value counts. */
      readonly rewrite?: { readonly regex: string; readonly substitution: string };
      readonly terminal: boolean;
    }
  | {
      readonly kind: "cookie";
      readonly name: string;
      readonly ttlMs?: number;
      readonly path: string;
      /** Further attributes of a cookie that is issued; an empty value is left out. */
      readonly attributes: readonly { readonly name: string; readonly value: string }[];
      readonly terminal: boolean;
    }
  | { readonly kind: "sourceIp"; readonly terminal: boolean }
  | { readonly kind: "queryParameter"; readonly name: string; readonly terminal: boolean };

/** One target of a route with its share and own header changes. */
export interface WeightedCluster {
  /** Empty with `clusterHeader`. */
  readonly name: string;
  /** The request header that names the cluster. */
  readonly clusterHeader?: string;
  /** Beside the route's: subsets to choose a host from. */
  readonly metadataMatch?: Readonly<Record<string, unknown>>;
  readonly weight: number;
  readonly headers: HeaderMutations;
  readonly hostRewriteLiteral?: string;
  readonly typedPerFilterConfig: PerFilterConfig;
}

/** Several clusters of which each request gets one. */
export interface WeightedTarget {
  readonly kind: "weighted";
  readonly clusters: readonly WeightedCluster[];
  readonly totalWeight: number;
  /** The request header whose number takes the place of chance. */
  readonly randomHeader?: string;
  /** use_hash_policy: the hash of these takes the place of chance; the route's own policies, none of which issues a cookie here. */
  readonly hashPolicy?: readonly HashPolicy[];
}

/** Per-filter overrides: decoded filter config, or `disabled`. */
export type PerFilterConfig = Readonly<Record<string, { readonly disabled: boolean; readonly config?: unknown }>>;

/** A request mirror (route.v3.RouteAction.RequestMirrorPolicy). */
export interface MirrorPolicy {
  /** Empty with `clusterHeader`. */
  readonly cluster: string;
  /** The request header that names the cluster. */
  readonly clusterHeader?: string;
  /** Share 0..1. */
  readonly fraction: number;
  readonly disableShadowHostSuffixAppend: boolean;
}

/** How the host header changes. */
export type HostRewrite =
  | { readonly kind: "literal"; readonly value: string }
  | { readonly kind: "auto" }
  | { readonly kind: "header"; readonly name: string }
  | { readonly kind: "pathRegex"; readonly regex: string; readonly substitution: string }
  /** May hold `%COMMAND%` operators. */
  | { readonly kind: "format"; readonly text: string };

/** route.v3.RouteAction.UpgradeConfig.ConnectConfig. */
export interface ConnectConfig {
  /** POST requests are terminated, too. */
  readonly allowPost: boolean;
}

/** route.v3.RouteAction: forward. */
export interface ForwardAction {
  readonly kind: "route";
  readonly target:
    | { readonly kind: "cluster"; readonly name: string }
    | WeightedTarget
    | { readonly kind: "clusterHeader"; readonly name: string };
  /** Status when the cluster is unknown, default 503. */
  readonly clusterNotFoundStatus: number;
  readonly metadataMatch: Readonly<Record<string, unknown>>;
  readonly prefixRewrite?: string;
  readonly regexRewrite?: { readonly regex: string; readonly substitution: string };
  /** Takes the place of the path, the query stays; may hold `%COMMAND%` operators. */
  readonly pathFormat?: string;
  /** What the variables of the route's path template are put into, as `{name}`. */
  readonly pathTemplateRewrite?: string;
  readonly hostRewrite?: HostRewrite;
  readonly appendXForwardedHost: boolean;
  /** Whole-response timeout, default 15 s, or none where there is a max_stream_duration; 0 = none. */
  readonly timeoutMs: number;
  /** Undefined: the connection manager's stream_idle_timeout. 0 = none. */
  readonly idleTimeoutMs?: number;
  /** Undefined: not set at the route. 0 = none. */
  readonly maxStreamDurationMs?: number;
  /** max_stream_duration.grpc_timeout_header_max: 0 = the header's own value, undefined = header ignored. */
  readonly grpcTimeoutHeaderMaxMs?: number;
  /** max_stream_duration.grpc_timeout_header_offset: taken off the header's value. */
  readonly grpcTimeoutHeaderOffsetMs?: number;
  /** max_grpc_timeout: for gRPC the header's value, no longer than this, takes the place of `timeoutMs`; 0 = as long as it says. */
  readonly maxGrpcTimeoutMs?: number;
  /** grpc_timeout_offset: taken off the header's value where it is longer. */
  readonly grpcTimeoutOffsetMs?: number;
  readonly retryPolicy?: RetryPolicy;
  /** hedge_policy.hedge_on_per_try_timeout: an attempt goes on beside the one that its timeout begins. */
  readonly hedgeOnPerTryTimeout?: boolean;
  readonly mirrors: readonly MirrorPolicy[];
  readonly hashPolicy: readonly HashPolicy[];
  readonly priority: "DEFAULT" | "HIGH";
  /** Upgrade type (lower case) to enabled; overrides the connection manager's. */
  readonly upgrades: Readonly<Record<string, boolean>>;
  /** connect_config of the CONNECT upgrade: its bytes go to the upstream as they are, without HTTP around them. */
  readonly connect?: ConnectConfig;
  readonly includeAttemptCount: boolean;
  /** Which redirects of the upstream's are followed here; absent: none. */
  readonly internalRedirects?: InternalRedirectPolicy;
  /** What requests count as; absent: nothing. */
  readonly rateLimits?: readonly RateLimitPolicy[];
  /** The virtual host's rate limits count beside these. */
  readonly includeVhRateLimits?: boolean;
}

/** route.v3.RedirectAction. */
export interface RedirectAction {
  readonly kind: "redirect";
  readonly schemeRedirect?: string;
  readonly httpsRedirect: boolean;
  readonly hostRedirect?: string;
  readonly portRedirect?: number;
  readonly path:
    | { readonly kind: "none" }
    | { readonly kind: "path" | "prefix"; readonly value: string }
    | { readonly kind: "regex"; readonly regex: string; readonly substitution: string };
  readonly responseCode: 301 | 302 | 303 | 307 | 308;
  readonly stripQuery: boolean;
}

/** route.v3.DirectResponseAction; the body is inline, files were read by the source. */
export interface DirectResponseAction {
  readonly kind: "direct_response";
  readonly status: number;
  /** Latin1 string of the body's bytes. */
  readonly body: string;
  /** body_format: what the body is put into. */
  readonly format?: BodyFormat;
}

/** Envoy's `non_forwarding_action`: a route on a server that does not forward. */
export interface NonForwardingAction {
  readonly kind: "non_forwarding";
}

/** What a matched route does. */
export type RouteActionModel = ForwardAction | RedirectAction | DirectResponseAction | NonForwardingAction;

/** route.v3.CookieMatcher. */
export interface CookieMatcher {
  readonly name: string;
  readonly matcher: StringMatcher;
  readonly invertMatch: boolean;
}

/** route.v3.RouteMatch. */
export interface RouteMatch {
  readonly path: PathMatcher;
  readonly headers: readonly HeaderMatcher[];
  readonly queryParameters: readonly QueryParameterMatcher[];
  readonly cookies: readonly CookieMatcher[];
  readonly grpc: boolean;
  /** runtime_fraction's default share 0..1; 1 = always. */
  readonly runtimeFraction: number;
  readonly tls?: { readonly presented?: boolean; readonly validated?: boolean };
  /** What filters have to have said of the request, all of it; absent: nothing is asked. */
  readonly dynamicMetadata?: readonly MetadataMatcher[];
}

/** How much of a request's body is kept to be sent again, by retries and internal redirects. */
export interface BodyBuffer {
  /** request_body_buffer_limit: takes the place of the connection's limit. */
  readonly limitBytes?: number;
  /** per_request_buffer_limit_bytes: where the former is not given, and no more than the connection's limit. */
  readonly perRequestBytes?: number;
}

/** route.v3.Route. */
export interface Route {
  readonly name: string;
  readonly match: RouteMatch;
  readonly action: RouteActionModel;
  readonly headers: HeaderMutations;
  readonly metadata: Metadata;
  readonly decoratorOperation?: string;
  readonly bodyBuffer?: BodyBuffer;
  readonly typedPerFilterConfig: PerFilterConfig;
}

/** route.v3.VirtualHost. */
export interface VirtualHost {
  readonly name: string;
  /** Lower case; exact, `*.suffix`, `prefix.*` or `*`. */
  readonly domains: readonly string[];
  readonly routes: readonly Route[];
  readonly requireTls: "NONE" | "EXTERNAL_ONLY" | "ALL";
  readonly headers: HeaderMutations;
  readonly includeRequestAttemptCount: boolean;
  readonly includeAttemptCountInResponse: boolean;
  readonly retryPolicy?: RetryPolicy;
  /** Of routes without a hedge policy of their own. */
  readonly hedgeOnPerTryTimeout?: boolean;
  /** Of routes without their own. */
  readonly bodyBuffer?: BodyBuffer;
  /** Of routes that have none of their own. */
  readonly mirrors: readonly MirrorPolicy[];
  /** Of routes without their own. */
  readonly rateLimits?: readonly RateLimitPolicy[];
  readonly typedPerFilterConfig: PerFilterConfig;
}

/** route.v3.RouteConfiguration. */
export interface RouteConfiguration {
  readonly name: string;
  readonly virtualHosts: readonly VirtualHost[];
  readonly headers: HeaderMutations;
  readonly mostSpecificHeaderMutationsWins: boolean;
  readonly validateClusters: boolean;
  readonly ignorePortInHostMatching: boolean;
  readonly maxDirectResponseBodySizeBytes: number;
  /** Of virtual hosts and routes that have none of their own. */
  readonly mirrors: readonly MirrorPolicy[];
  readonly typedPerFilterConfig: PerFilterConfig;
}
