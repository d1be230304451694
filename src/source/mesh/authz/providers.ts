// External authorization (action CUSTOM): an extension provider of MeshConfig as the filters that ask it.
import { extension, type Json } from "../envoy-json.ts";
import type { AuthorizerSettings, BodyInCheck, HttpAuthorizerSettings } from "../istio/extension-provider.ts";
import type { MeshService } from "../registry/service.ts";
import type { AuthorizationPolicy } from "./policies.ts";

/** Filters that ask; `tcp` is undefined for a provider that speaks HTTP. */
export interface ExternalAuthorizer {
  readonly http: Json;
  readonly tcp: Json | undefined;
}

/** What rules of CUSTOM are called, before the name of the rule: the asking filter looks for it. */
export const externalPrefix = "istio-ext-authz-";

/** Builds every provider whose service is in the mesh; the others are what `findAuthorizer` does not find. */
export function buildAuthorizers(
  providers: readonly AuthorizerSettings[],
  services: readonly MeshService[],
): ReadonlyMap<string, ExternalAuthorizer> {
  return new Map(
    providers.flatMap((provider) => {
      const hostname = findHost(provider.service, services);
      return hostname === undefined ? [] : [[provider.name, buildAuthorizer(provider, hostname)] as const];
    }),
  );
}

/** The one authorizer of a workload's policies, or why there is none. */
export function findAuthorizer(
  authorizers: ReadonlyMap<string, ExternalAuthorizer>,
  policies: readonly AuthorizationPolicy[],
): ExternalAuthorizer | string {
  const names = [...new Set(policies.map(({ spec }) => spec.provider))];
  if (names.length !== 1) return `a workload can have one provider, and these policies name ${names.join(", ")}`;
  const [name = ""] = names;
  return authorizers.get(name) ?? `extension provider ${name} is not defined, or its service is not in the mesh`;
}

/** The host of `[NAMESPACE/]HOST`, when there is exactly one such service. */
export function findHost(service: string, services: readonly MeshService[]): string | undefined {
  const [first = "", second] = service.split("/");
  const hostname = second ?? first;
  const found = services.filter((each) => each.hostname === hostname && (second === undefined || each.namespace === first));
  return new Set(found.map(({ namespace }) => namespace)).size === 1 ? hostname : undefined;
}

function buildAuthorizer(provider: AuthorizerSettings, hostname: string): ExternalAuthorizer {
  const cluster = `outbound|${provider.port}||${hostname}`;
  if (provider.kind === "http")
    return { http: httpFilter(provider, { http_service: httpService(provider, hostname, cluster) }), tcp: undefined };
  const service: Json = { envoy_grpc: { cluster_name: cluster, authority: hostname }, timeout: provider.timeout };
  return {
    http: httpFilter(provider, { grpc_service: service }),
    tcp: extension("envoy.filters.network.ext_authz", "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz", {
      stat_prefix: "tcp.",
      grpc_service: service,
      ...failureMode(provider),
      transport_api_version: "V3",
      filter_enabled_metadata: enabledBy("envoy.filters.network.rbac"),
    }),
  };
}

function httpFilter(provider: AuthorizerSettings, service: Json): Json {
  return extension("envoy.filters.http.ext_authz", "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz", {
    ...service,
    ...failureMode(provider),
    ...(provider.statusOnError === undefined ? {} : { status_on_error: statusCode(provider.statusOnError) }),
    ...(provider.body === undefined ? {} : { with_request_body: bufferSettings(provider.body) }),
    transport_api_version: "V3",
    filter_enabled_metadata: enabledBy("envoy.filters.http.rbac"),
    ...(provider.kind === "http" ? headerList("allowed_headers", provider.requestHeaders) : {}),
  });
}

const failureMode = ({ failOpen }: AuthorizerSettings): Json => (failOpen ? { failure_mode_allow: true } : {});

/** Asks only about requests that the RBAC filter before it has marked. */
function enabledBy(filter: string): Json {
  return {
    filter,
    path: [{ key: "istio_ext_authz_shadow_effective_policy_id" }],
    value: { string_match: { prefix: externalPrefix.slice(0, -1) } },
  };
}

function httpService(provider: HttpAuthorizerSettings, hostname: string, cluster: string): Json {
  const added = Object.entries(provider.additionalHeaders).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const answers = {
    ...headerList("allowed_upstream_headers", provider.headersToUpstreamOnAllow),
    ...headerList("allowed_client_headers", provider.headersToDownstreamOnDeny),
    ...headerList("allowed_client_headers_on_success", provider.headersToDownstreamOnAllow),
  };
  return {
    server_uri: { uri: `http://${hostname}`, cluster, timeout: provider.timeout },
    ...(provider.pathPrefix === "" ? {} : { path_prefix: provider.pathPrefix }),
    ...(added.length === 0 ? {} : { authorization_request: { headers_to_add: added.map(([key, value]) => ({ key, value })) } }),
    ...(Object.keys(answers).length === 0 ? {} : { authorization_response: answers }),
  };
}

function headerList(field: string, patterns: readonly string[]): Json {
  if (patterns.length === 0) return {};
  const matchers = patterns.map((pattern) => ({ ...headerPattern(pattern), ignore_case: true }));
  return { [field]: { patterns: matchers } };
}

function headerPattern(pattern: string): Json {
  if (pattern.startsWith("*")) return { suffix: pattern.slice(1) };
  return pattern.endsWith("*") ? { prefix: pattern.slice(0, -1) } : { exact: pattern };
}

function bufferSettings({ maxRequestBytes, allowPartialMessage, packAsBytes }: BodyInCheck): Json {
  return {
    max_request_bytes: maxRequestBytes,
    ...(allowPartialMessage ? { allow_partial_message: true } : {}),
    ...(packAsBytes ? { pack_as_bytes: true } : {}),
  };
}

/** proto3 JSON writes an enum by name. */
function statusCode(code: number): Json {
  return { code: statusNames[code] ?? code };
}

// envoy.type.v3.StatusCode, as Istio's validation accepts it.
const statusNames: Readonly<Record<number, string>> = {
  100: "Continue",
  200: "OK",
  201: "Created",
  202: "Accepted",
  203: "NonAuthoritativeInformation",
  204: "NoContent",
  205: "ResetContent",
  206: "PartialContent",
  207: "MultiStatus",
  208: "AlreadyReported",
  226: "IMUsed",
  300: "MultipleChoices",
  301: "MovedPermanently",
  302: "Found",
  303: "SeeOther",
  304: "NotModified",
  305: "UseProxy",
  307: "TemporaryRedirect",
  308: "PermanentRedirect",
  400: "BadRequest",
  401: "Unauthorized",
  402: "PaymentRequired",
  403: "Forbidden",
  404: "NotFound",
  405: "MethodNotAllowed",
  406: "NotAcceptable",
  407: "ProxyAuthenticationRequired",
  408: "RequestTimeout",
  409: "Conflict",
  410: "Gone",
  411: "LengthRequired",
  412: "PreconditionFailed",
  413: "PayloadTooLarge",
  414: "URITooLong",
  415: "UnsupportedMediaType",
  416: "RangeNotSatisfiable",
  417: "ExpectationFailed",
  421: "MisdirectedRequest",
  422: "UnprocessableEntity",
  423: "Locked",
  424: "FailedDependency",
  426: "UpgradeRequired",
  428: "PreconditionRequired",
  429: "TooManyRequests",
  431: "RequestHeaderFieldsTooLarge",
  500: "InternalServerError",
  501: "NotImplemented",
  502: "BadGateway",
  503: "ServiceUnavailable",
  504: "GatewayTimeout",
  505: "HTTPVersionNotSupported",
  506: "VariantAlsoNegotiates",
  507: "InsufficientStorage",
  508: "LoopDetected",
  510: "NotExtended",
  511: "NetworkAuthenticationRequired",
};
