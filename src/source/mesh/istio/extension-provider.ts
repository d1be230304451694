// MeshConfig.extensionProviders: the servers that AuthorizationPolicies with action CUSTOM ask.
import { readDuration } from "../object/duration.ts";
import type { Fields } from "../object/fields.ts";

/** `includeRequestBodyInCheck`. */
export interface BodyInCheck {
  readonly maxRequestBytes: number;
  readonly allowPartialMessage: boolean;
  readonly packAsBytes: boolean;
}

interface CommonProvider {
  readonly name: string;
  /** `[NAMESPACE/]HOST` of a service in the mesh. */
  readonly service: string;
  readonly port: number;
  /** proto3 JSON duration; default 600 s, Istio's. */
  readonly timeout: string;
  /** Requests pass when the server cannot be asked. */
  readonly failOpen: boolean;
  /** HTTP status when the server cannot be asked; undefined: 403. */
  readonly statusOnError: number | undefined;
  readonly body: BodyInCheck | undefined;
}

/** `envoyExtAuthzHttp`. Header lists are patterns: exact, `abc*` or `*abc`. */
export interface HttpAuthorizerSettings extends CommonProvider {
  readonly kind: "http";
  readonly pathPrefix: string;
  readonly requestHeaders: readonly string[];
  readonly additionalHeaders: Readonly<Record<string, string>>;
  readonly headersToUpstreamOnAllow: readonly string[];
  readonly headersToDownstreamOnDeny: readonly string[];
  readonly headersToDownstreamOnAllow: readonly string[];
}

/** `envoyExtAuthzGrpc`. */
export interface GrpcAuthorizerSettings extends CommonProvider {
  readonly kind: "grpc";
}

/** A provider that can authorize requests. */
export type AuthorizerSettings = HttpAuthorizerSettings | GrpcAuthorizerSettings;

const defaultTimeout = "600s";

/** Reads the list; providers of other kinds (tracing, logging) are no matter of authorization. */
export function readExtensionProviders(root: Fields): readonly AuthorizerSettings[] {
  const names = new Set<string>();
  return root
    .list("extensionProviders", (item) => {
      const name = item.requiredString("name");
      if (names.has(name)) item.error("name", `repeats "${name}", expected each provider's own`);
      names.add(name);
      const http = item.child("envoyExtAuthzHttp");
      const grpc = item.child("envoyExtAuthzGrpc");
      if (http !== undefined) return readHttp(name, http);
      if (grpc !== undefined) return readGrpc(name, grpc);
      return undefined;
    })
    .filter((provider) => provider !== undefined);
}

function readHttp(name: string, item: Fields): HttpAuthorizerSettings {
  // The older name of the list counts where the newer is empty.
  const current = readPatterns(item, "includeRequestHeadersInCheck");
  const older = readPatterns(item, "includeHeadersInCheck");
  const provider: HttpAuthorizerSettings = {
    kind: "http",
    ...readCommon(name, item),
    pathPrefix: item.string("pathPrefix") ?? "",
    requestHeaders: current.length > 0 ? current : older,
    additionalHeaders: item.stringMap("includeAdditionalHeadersInCheck"),
    headersToUpstreamOnAllow: readPatterns(item, "headersToUpstreamOnAllow"),
    headersToDownstreamOnDeny: readPatterns(item, "headersToDownstreamOnDeny"),
    headersToDownstreamOnAllow: readPatterns(item, "headersToDownstreamOnAllow"),
  };
  if (provider.pathPrefix !== "" && !provider.pathPrefix.startsWith("/"))
    item.error("pathPrefix", `is "${provider.pathPrefix}", expected it to begin with /`);
  item.finish();
  return provider;
}

function readGrpc(name: string, item: Fields): GrpcAuthorizerSettings {
  const provider: GrpcAuthorizerSettings = { kind: "grpc", ...readCommon(name, item) };
  if (item.boolean("clearRouteCache") === true) item.error("clearRouteCache", "is not supported: a request keeps the route it has matched");
  item.finish();
  return provider;
}

const highestStatus = 511;

function readCommon(name: string, item: Fields): CommonProvider {
  const status = item.string("statusOnError") ?? "";
  const statusOnError = status === "" ? undefined : Number(status);
  if (statusOnError !== undefined && !(/^\d{3}$/.test(status) && statusOnError >= 100 && statusOnError <= highestStatus))
    item.error("statusOnError", `is "${status}", expected an HTTP status such as "503"`);
  const body = item.child("includeRequestBodyInCheck");
  return {
    name,
    service: item.requiredString("service"),
    port: item.requiredPort("port"),
    timeout: readDuration(item, "timeout") ?? defaultTimeout,
    failOpen: item.boolean("failOpen") ?? false,
    statusOnError,
    body: body && readBody(body),
  };
}

const largestUint32 = 4_294_967_295;

function readBody(body: Fields): BodyInCheck {
  const settings = {
    maxRequestBytes: body.integer("maxRequestBytes", { min: 1, max: largestUint32 }) ?? 0,
    allowPartialMessage: body.boolean("allowPartialMessage") ?? false,
    packAsBytes: body.boolean("packAsBytes") ?? false,
  };
  if (!body.has("maxRequestBytes")) body.error("maxRequestBytes", "is missing, expected the largest body to show");
  body.finish();
  return settings;
}

function readPatterns(item: Fields, key: string): readonly string[] {
  const patterns = item.strings(key);
  if (patterns.includes("*")) item.error(key, "has a bare *, expected a name or a pattern such as x-auth-*");
  return patterns;
}
