// The HTTP routes of one VirtualService, as a proxy serves them on one port of one gateway.
import type { Json } from "../envoy-json.ts";
import { resolveHost } from "../istio/host-name.ts";
import type { Destination } from "../istio/route/destination.ts";
import type { HttpMatch } from "../istio/route/http-match.ts";
import type { DirectResponse, Forward, HttpRoute, Redirect } from "../istio/route/http-route.ts";
import type { Retries } from "../istio/route/http-policy.ts";
import { httpPlaceMatches, type RoutePlace, type VirtualService } from "../istio/virtual-services.ts";
import type { DestinationRule } from "../istio/destination-rules.ts";
import type { ConsistentHash } from "../istio/load-balancer.ts";
import { destinationHash, routeHashFields } from "../policy/hash-policy.ts";
import { virtualServiceMetadata } from "./config-metadata.ts";
import { type HeaderChanges, headerChanges, headerFields, joinChanges } from "./header-operations.ts";
import { filterOverrides, fractionalPercent, retryField } from "./policies.ts";
import { describePath, everyRequest, isCatchAll, routeMatch } from "./route-match.ts";

/** Where routes are built for. */
export interface HttpRoutePlace extends RoutePlace {
  /** The port meant by a destination that gives none. */
  portOf(hostname: string): number;
  /** For routes that say nothing of retries. */
  readonly defaultRetries?: Retries | undefined;
  /** The rule of a service, for what its requests are hashed by. */
  ruleOf(hostname: string): DestinationRule | undefined;
  /** The service that a destination's host name is an alias of; the name itself when it is none. */
  targetOf?(hostname: string): string;
}

/** Routes in order, up to the first that takes everything; empty when the VirtualService has nothing to say here. */
export function buildHttpRoutes(virtualService: VirtualService, place: HttpRoutePlace): readonly Json[] {
  const routes: Json[] = [];
  for (const route of virtualService.spec.http) {
    const matches = route.matches.length === 0 ? [undefined] : route.matches;
    for (const match of matches) {
      if (match !== undefined && !httpPlaceMatches(match.proxy, place, virtualService.meta.namespace)) continue;
      const built = buildRoute(virtualService, place, route, match);
      routes.push(built);
      if (isCatchAll(built["match"] as Json)) return routes;
    }
  }
  return routes;
}

function buildRoute({ meta }: VirtualService, place: HttpRoutePlace, route: HttpRoute, request: HttpMatch | undefined): Json {
  const match = request === undefined ? everyRequest : routeMatch(request);
  const name = request === undefined || request.name === "" ? route.name : `${route.name}.${request.name}`;
  const clusterOf = (destination: Destination): Cluster => {
    const named = resolveHost(destination.host, meta.namespace);
    // An alias says by itself which port is meant; one that leads to another alias is followed no further, as in Istio.
    const port = destination.port === 0 ? place.portOf(named) : destination.port;
    const host = place.targetOf?.(named) ?? named;
    return { name: `outbound|${port}|${destination.subset}|${host}`, operation: `${host}:${port}` };
  };
  const hashOf = (destination: Destination): ConsistentHash | undefined =>
    destinationHash(place.ruleOf(resolveHost(destination.host, meta.namespace)), destination);
  const { action, headers, operation } = buildAction(route, place, clusterOf, hashOf);
  return {
    ...(name === "" ? {} : { name }),
    match,
    ...action,
    metadata: virtualServiceMetadata(meta),
    decorator: { operation: `${operation ?? `${meta.name}:${place.port}`}${describePath(match)}` },
    ...filterOverrides(route.fault, route.cors),
    ...headerFields(headers),
  };
}

interface Cluster {
  readonly name: string;
  readonly operation: string;
}

interface BuiltAction {
  readonly action: Json;
  readonly headers: HeaderChanges;
  /** The only destination, by which the route is described. */
  readonly operation?: string;
}

function buildAction(
  route: HttpRoute,
  place: HttpRoutePlace,
  clusterOf: (destination: Destination) => Cluster,
  hashOf: (destination: Destination) => ConsistentHash | undefined,
): BuiltAction {
  const { action } = route;
  const headers = headerChanges(route.headers);
  if (action.kind === "redirect") return { action: { redirect: redirectAction(action, place.port) }, headers };
  if (action.kind === "direct-response") return { action: { direct_response: directResponse(action) }, headers };
  const [only] = action.destinations;
  if (only === undefined || action.destinations.length > 1) {
    const target = { fields: weightedClusters(action, clusterOf), authority: headers.authority, hashed: false };
    const forward = forwardAction(action, place, target, clusterOf);
    const hash = routeHashFields(...action.destinations.filter(({ weight }) => weight > 0).map(hashOf));
    return { action: { route: { ...forward, ...hash } }, headers };
  }
  const cluster = clusterOf(only);
  const joined = joinChanges(headers, headerChanges(only.headers));
  const hash = routeHashFields(hashOf(only));
  const target = { fields: { cluster: cluster.name }, authority: joined.authority, hashed: hash["hash_policy"] !== undefined };
  const forward = forwardAction(action, place, target, clusterOf);
  return { action: { route: { ...forward, ...hash } }, headers: joined, operation: cluster.operation };
}

function weightedClusters(action: Forward, clusterOf: (destination: Destination) => Cluster): Json {
  const clusters = action.destinations
    .filter((destination) => destination.weight > 0)
    .map((destination) => {
      const changes = headerChanges(destination.headers);
      return {
        name: clusterOf(destination).name,
        weight: destination.weight,
        ...headerFields(changes),
        ...hostRewrite(changes.authority),
      };
    });
  return { weighted_clusters: { clusters } };
}

const hostRewrite = (authority: string): Json => (authority === "" ? {} : { host_rewrite_literal: authority });

/** Where a route forwards to: the fields that say so, the host it sets, and whether one hash policy decides the upstream host. */
interface ForwardTarget {
  readonly fields: Json;
  readonly authority: string;
  readonly hashed: boolean;
}

function forwardAction(
  action: Forward,
  place: HttpRoutePlace,
  target: ForwardTarget,
  clusterOf: (destination: Destination) => Cluster,
): Json {
  const { rewrite, timeout = "0s" } = action;
  const mirrors = action.mirrors.map(({ destination, percentage }) => ({
    cluster: clusterOf(destination).name,
    runtime_fraction: { default_value: fractionalPercent(percentage) },
    trace_sampled: false,
    disable_shadow_host_suffix_append: true,
  }));
  return {
    ...target.fields,
    ...(rewrite === undefined || rewrite.regex !== undefined || rewrite.uri === "" ? {} : { prefix_rewrite: rewrite.uri }),
    ...(rewrite?.regex === undefined
      ? {}
      : { regex_rewrite: { pattern: { regex: rewrite.regex.match }, substitution: rewrite.regex.rewrite } }),
    ...hostRewrite(rewrite === undefined || rewrite.authority === "" ? target.authority : rewrite.authority),
    timeout,
    ...retryField(action.retries ?? place.defaultRetries, target.hashed),
    ...(mirrors.length === 0 ? {} : { request_mirror_policies: mirrors }),
    // The older of two fields that bound a gRPC caller's own deadline; 0 takes it as it is.
    max_grpc_timeout: timeout,
  };
}

const redirectCodes = {
  301: undefined,
  302: "FOUND",
  303: "SEE_OTHER",
  307: "TEMPORARY_REDIRECT",
  308: "PERMANENT_REDIRECT",
} as const;

function redirectAction(redirect: Redirect, requestPort: number): Json {
  const wanted = redirect.port === "from-request" ? requestPort : redirect.port;
  const usual = redirect.scheme === "https" ? 443 : redirect.scheme === "" || redirect.scheme === "http" ? 80 : 0;
  const port = typeof wanted === "number" && wanted !== usual ? wanted : undefined;
  const code = redirectCodes[redirect.code];
  return {
    ...(redirect.scheme === "" ? {} : { scheme_redirect: redirect.scheme }),
    ...(redirect.authority === "" ? {} : { host_redirect: redirect.authority }),
    ...(port === undefined ? {} : { port_redirect: port }),
    path_redirect: redirect.uri,
    ...(code === undefined ? {} : { response_code: code }),
  };
}

function directResponse({ status, body }: DirectResponse): Json {
  if (body === undefined) return { status };
  return { status, body: body.kind === "text" ? { inline_string: body.value } : { inline_bytes: body.value } };
}
