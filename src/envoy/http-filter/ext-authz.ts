// Envoy extensions.filters.http.ext_authz.v3.ExtAuthz and its network sibling, narrowed: a server that is asked whether a request
// or a connection may go on.
import type { Decoder } from "../decode/cursor.ts";
import { type Fields, message } from "../decode/message.ts";
import { bool, duration, headerName, list, nonEmpty, onlyTrue, record, text, uint32 } from "../decode/scalars.ts";
import { type GrpcService, grpcService } from "../grpc-service.ts";
import { decodeMetadataMatcher, type MetadataMatcher } from "../metadata-matcher.ts";
import { decodeHttpStatus } from "../http-status.ts";
import { decodeStringMatcher, type StringMatcher } from "../string-matcher.ts";

/** Headers by name: any of the matchers. Empty: none. */
export type HeaderNames = readonly StringMatcher[];

/** A server that speaks plain HTTP: its status decides. */
export interface HttpAuthorizationService {
  readonly kind: "http";
  readonly cluster: string;
  readonly timeoutMs: number;
  readonly pathPrefix: string;
  readonly headersToAdd: readonly { readonly name: string; readonly value: string }[];
  /** Of an allowing answer, set in the request. */
  readonly upstreamHeaders: HeaderNames;
  /** The same, appended. */
  readonly upstreamHeadersToAppend: HeaderNames;
  /** Of a refusal, passed to the client; empty: all but host. */
  readonly clientHeaders: HeaderNames;
  /** Of an allowing answer, added to the response. */
  readonly clientHeadersOnSuccess: HeaderNames;
}

/** A server of service.auth.v3.Authorization. */
export interface GrpcAuthorizationService extends GrpcService {
  readonly kind: "grpc";
}

/** with_request_body. */
export interface AuthorizationBody {
  readonly maxBytes: number;
  readonly allowPartial: boolean;
  readonly packAsBytes: boolean;
}

/** ExtAuthz. */
export interface ExtAuthzConfig {
  readonly service: HttpAuthorizationService | GrpcAuthorizationService;
  readonly statPrefix: string;
  /** Requests pass when the server gives no answer. */
  readonly failureModeAllow: boolean;
  readonly failureModeAllowHeaderAdd: boolean;
  /** Status of a refusal because the server gave no answer; default 403. */
  readonly statusOnError: number;
  readonly body: AuthorizationBody | undefined;
  /** The route is chosen again after an allowing answer that changed the request's headers. */
  readonly clearRouteCache: boolean;
  /** Only requests with this dynamic metadata are asked about; absent: all. */
  readonly enabledMetadata: MetadataMatcher | undefined;
  /** Request headers that are shown; empty: all to gRPC servers, few to HTTP servers. */
  readonly allowedHeaders: HeaderNames;
  readonly disallowedHeaders: HeaderNames;
}

/** ExtAuthzPerRoute: its requests are not asked about, or asked about otherwise. */
export type ExtAuthzPerRoute = { readonly kind: "disabled" } | CheckSettings;

/** CheckSettings. */
export interface CheckSettings {
  readonly kind: "check";
  /** Shown to a gRPC server; those of virtual host, route and weighted cluster are put together. */
  readonly contextExtensions: Readonly<Record<string, string>>;
  /** In place of the filter's with_request_body: `none` shows no body. */
  readonly body: AuthorizationBody | "none" | undefined;
}

/** extensions.filters.network.ext_authz.v3.ExtAuthz. */
export interface NetworkExtAuthzConfig {
  readonly statPrefix: string;
  readonly service: GrpcAuthorizationService;
  readonly failureModeAllow: boolean;
  readonly enabledMetadata: MetadataMatcher | undefined;
}

const strict = { unhandled: "error" } as const;

const decodeNames = message(
  "envoy.type.matcher.v3.ListStringMatcher",
  (m): HeaderNames => m.required("patterns", list(decodeStringMatcher, { min: 1 })),
  strict,
);

const decodeHeaderValue = message(
  "envoy.config.core.v3.HeaderValue",
  (m) => {
    m.refuse("raw values", "raw_value");
    return { name: m.required("key", headerName), value: m.field("value", text, "") };
  },
  strict,
);

const decodeUri = message(
  "envoy.config.core.v3.HttpUri",
  (m) => {
    m.accept("uri");
    return { cluster: m.required("cluster", nonEmpty), timeoutMs: m.required("timeout", duration) };
  },
  strict,
);

const decodeRequestPart = message(
  "envoy.extensions.filters.http.ext_authz.v3.AuthorizationRequest",
  (m) => {
    m.refuse("the older place of allowed_headers; give it to the filter", "allowed_headers");
    return m.field("headers_to_add", list(decodeHeaderValue), []);
  },
  strict,
);

const noAnswerHeaders = { upstreamHeaders: [], upstreamHeadersToAppend: [], clientHeaders: [], clientHeadersOnSuccess: [] };

const decodeResponsePart = message(
  "envoy.extensions.filters.http.ext_authz.v3.AuthorizationResponse",
  (m): Pick<HttpAuthorizationService, keyof typeof noAnswerHeaders> => {
    m.refuse("metadata from headers", "dynamic_metadata_from_headers");
    return {
      upstreamHeaders: m.field("allowed_upstream_headers", decodeNames, []),
      upstreamHeadersToAppend: m.field("allowed_upstream_headers_to_append", decodeNames, []),
      clientHeaders: m.field("allowed_client_headers", decodeNames, []),
      clientHeadersOnSuccess: m.field("allowed_client_headers_on_success", decodeNames, []),
    };
  },
  strict,
);

const decodeHttpService: Decoder<HttpAuthorizationService> = message(
  "envoy.extensions.filters.http.ext_authz.v3.HttpService",
  (m) => ({
    kind: "http" as const,
    ...m.required("server_uri", decodeUri),
    pathPrefix: m.field("path_prefix", text, ""),
    headersToAdd: m.field("authorization_request", decodeRequestPart, []),
    ...m.field("authorization_response", decodeResponsePart, noAnswerHeaders),
  }),
  strict,
);

const decodeGrpcService: Decoder<GrpcAuthorizationService> = (json, at) => ({
  kind: "grpc",
  ...grpcService(defaultTimeoutMs)(json, at),
});

// Envoy's, where a gRPC service gives none.
const defaultTimeoutMs = 200;

const decodeBody = message(
  "envoy.extensions.filters.http.ext_authz.v3.BufferSettings",
  (m): AuthorizationBody => ({
    maxBytes: m.required("max_request_bytes", uint32),
    allowPartial: m.field("allow_partial_message", bool, false),
    packAsBytes: m.field("pack_as_bytes", bool, false),
  }),
  strict,
);

function common(m: Fields): Pick<ExtAuthzConfig, "failureModeAllow" | "enabledMetadata"> {
  m.accept("transport_api_version");
  return {
    failureModeAllow: m.field("failure_mode_allow", bool, false),
    enabledMetadata: m.field("filter_enabled_metadata", decodeMetadataMatcher, undefined),
  };
}

const defaultStatus = 403;

/** extensions.filters.http.ext_authz.v3.ExtAuthz. */
export const decodeExtAuthz: Decoder<ExtAuthzConfig> = message(
  "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
  (m) => {
    m.refuse("asking about a share of the requests", "filter_enabled", "deny_at_disable");
    m.refuse("showing metadata to the server", "metadata_context_namespaces", "typed_metadata_context_namespaces");
    m.refuse("showing metadata to the server", "route_metadata_context_namespaces", "route_typed_metadata_context_namespaces");
    m.refuse("showing certificates and labels to the server", "include_peer_certificate", "bootstrap_metadata_labels_key");
    m.refuse("rules on what the server may change", "decoder_header_mutation_rules");
    // What is not valid is never written here, and these only add to what is logged or shown.
    m.accept("validate_mutations", "include_tls_session", "charge_cluster_response_stats", "encode_raw_headers");
    m.refuse("leaving the server's metadata out", "enable_dynamic_metadata_ingestion");
    return {
      service: m.requiredOneof<ExtAuthzConfig["service"]>(
        { http_service: decodeHttpService, grpc_service: decodeGrpcService },
        { kind: "grpc", cluster: "", authority: "", timeoutMs: 0 },
      ),
      statPrefix: m.field("stat_prefix", text, ""),
      ...common(m),
      failureModeAllowHeaderAdd: m.field("failure_mode_allow_header_add", bool, false),
      statusOnError: m.field("status_on_error", decodeHttpStatus, defaultStatus),
      body: m.field("with_request_body", decodeBody, undefined),
      clearRouteCache: m.field("clear_route_cache", bool, false),
      allowedHeaders: m.field("allowed_headers", decodeNames, []),
      disallowedHeaders: m.field("disallowed_headers", decodeNames, []),
    };
  },
  strict,
);

const decodeCheckSettings: Decoder<CheckSettings> = message(
  "envoy.extensions.filters.http.ext_authz.v3.CheckSettings",
  (m) => {
    m.refuse("asking another server for a route", "grpc_service", "http_service");
    const unbuffered = m.field("disable_request_body_buffering", bool, false);
    const body = m.field("with_request_body", decodeBody, undefined);
    if (unbuffered && body !== undefined) m.at.error("give either this or disable_request_body_buffering, not both", "with_request_body");
    return { kind: "check", contextExtensions: m.field("context_extensions", record(text), {}), body: unbuffered ? "none" : body };
  },
  strict,
);

/** extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute. */
export const decodeExtAuthzPerRoute: Decoder<ExtAuthzPerRoute> = message(
  "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
  (m) => {
    return m.requiredOneof<ExtAuthzPerRoute>(
      { disabled: (json, at) => (onlyTrue(json, at), { kind: "disabled" }), check_settings: decodeCheckSettings },
      { kind: "disabled" },
    );
  },
  strict,
);

/** extensions.filters.network.ext_authz.v3.ExtAuthz. */
export const decodeNetworkExtAuthz: Decoder<NetworkExtAuthzConfig> = message(
  "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz",
  (m) => {
    m.refuse("showing certificates and labels to the server", "include_peer_certificate", "bootstrap_metadata_labels_key");
    m.accept("include_tls_session");
    return { statPrefix: m.required("stat_prefix", nonEmpty), service: m.required("grpc_service", decodeGrpcService), ...common(m) };
  },
  strict,
);
