// The fourth step, for HTTP: normalisation, virtual host, route. The compiled table chooses; this says why.
import type { HttpConnectionManagerConfig } from "../../envoy/listener/http-connection-manager.ts";
import type { RouteConfiguration, RouteMatch, VirtualHost } from "../../envoy/route/route.ts";
import { plainReply, replies } from "../../http/local-reply.ts";
import { normalizePath } from "../../http/path.ts";
import { createRequestRules, type RuledRequest } from "../../http/request-rules.ts";
import { compileRouteTable } from "../../http/route/compile.ts";
import { compileConditions } from "../../http/route/match-request.ts";
import type { CompiledRoute, RouteRequest } from "../../http/route/route-table.ts";
import { compileRoutePath, matchesPath } from "../../http/route/table.ts";
import { compileDomains, portStart } from "../../match/domains.ts";
import { withoutQuery } from "../../match/path-matcher.ts";
import { compileFormat } from "../../telemetry/format.ts";
import { type ConnectionInfo, StreamInfo } from "../../telemetry/stream-info.ts";
import { HeaderMap } from "../../wire/header-map.ts";
import type { CheckedRequest } from "../../filter/http/jwt-authn/token-check.ts";
import { type ExplainConfig, knowsClient } from "../config.ts";
import { describeForward, describeHeader, describeMatch, describeMetadata, describeParameter, describePath, percent } from "../describe.ts";
import type { Narrative, Reason, StepWriter, Verdict } from "../explanation.ts";
import type { Arrival, Target } from "../arrival.ts";
import { replied } from "../failure.ts";
import { judgeFilters } from "../filters.ts";
import { authorityOf, type RequestQuestion } from "../question.ts";
import { nearestNames } from "./dns.ts";
import { tellJudgement } from "./policy.ts";
import { tellRateLimits } from "./rate-limit.ts";

/** Where the request may go, one target a share. */
export interface Routed {
  readonly targets: readonly Target[];
  /** As filters left it. */
  readonly request: RequestQuestion;
}

/** Chooses the route, or says what is answered instead. */
export function chooseRoute(
  config: ExplainConfig,
  manager: HttpConnectionManagerConfig,
  arrival: Arrival,
  info: ConnectionInfo,
  story: Narrative,
): Routed | Verdict {
  const request = prepare(manager, arrival, info);
  if ("sent" in request) {
    story.step("route", request.text, {}, true);
    return request;
  }
  const { routes } = manager;
  const model = routes.kind === "inline" ? routes.config : config.snapshot.routes.get(routes.name)?.value;
  const name = routes.kind === "inline" ? routes.config.name : routes.name;
  const compiled = model && compileRouteTable(model, { compileFormat: (text) => compileFormat(text, { missing: "" }) });
  const table = compiled?.ok === true ? compiled.value : undefined;
  // The draw of 0 falls on the first of weighted clusters and within every share. Filters may have the route chosen again.
  request.clearRouteCache = () => void (request.route = table?.match(request, 0));
  request.clearRouteCache();
  const refused = runFilters(config, manager, arrival, request, info, story);
  if (refused !== undefined) return refused;
  if (model === undefined || table === undefined) {
    story.step("route", `route configuration ${name} is not there`, { configuration: name }, true);
    return replied(replies.routeNotFound, `answered with 404: there is no route configuration ${name}`);
  }
  const { route } = request;
  const found = findHost(model, request.authority);
  const data = { configuration: name, authority: request.authority, path: request.path };
  if (found === undefined) return noHost(model, request, data, story);
  const { host, domain } = found;
  if (route === undefined) return noRoute(host, request, data, story);
  const answer = `${route.name === "" ? "a route without a name" : `route ${route.name}`} of ${host.name}`;
  const index = route.model === undefined ? -1 : host.routes.indexOf(route.model);
  const step = story.step("route", answer, { ...data, virtualHost: host.name, domain, route: route.name, index });
  explainHost(config, model, found, request, step, story);
  for (const [position, earlier] of host.routes.slice(0, Math.max(0, index)).entries()) {
    step.because(`before it: route ${earlier.name || position} wants ${whyNot(earlier.match, request) ?? "the same"}`);
  }
  if (route.model !== undefined) {
    const source = config.mesh?.source(route.model.metadata, { config: name, virtualHost: host.name, index });
    step.because(`matches ${describeMatch(route.model.match)}`);
    if (source !== undefined) step.all([source]);
  }
  const acted = act(route, manager, request, step);
  return "sent" in acted ? acted : { targets: acted, request: leftBy(request, arrival) };
}

type Request = CheckedRequest & RuledRequest;

/** The question as it goes on: filters take tokens out and put headers in. */
function leftBy({ headers, path }: Request, { request }: Arrival): RequestQuestion {
  const host = request?.headers.filter(([name]) => name === "host") ?? [];
  const { names, values } = headers;
  return { ...request!, path, headers: [...host, ...names.map((name, index) => [name, values[index] ?? ""] as const)] };
}

/** The request as routing sees it, after the rules of the connection manager. */
function prepare(manager: HttpConnectionManagerConfig, { request, port }: Arrival, info: ConnectionInfo): Request | Verdict {
  if (request === undefined) throw new Error("a route is chosen for a request");
  const headers = new HeaderMap();
  for (const [name, value] of request.headers) if (name !== "host") headers.add(name, value);
  const authority = request.headers.find(([name]) => name === "host")?.[1] ?? authorityOf(request);
  info.local = { ip: info.local.ip, port };
  const ruled: RuledRequest = {
    headers,
    info: new StreamInfo(info, 0, 0),
    authority,
    scheme: request.protocol === "tls" ? "https" : "",
    internal: false,
  };
  createRequestRules(manager, { localAddress: info.remote.ip, node: { cluster: "" } }).apply(ruled);
  const path = normalizePath(request.path, manager);
  if (path.kind === "reject") return replied(replies.pathNormalizationFailed, "answered with 400: the path cannot be normalised");
  if (path.kind === "redirect") return replied(plainReply(307, "path_normalization_failed"), `answered with a redirect to ${path.path}`);
  return Object.assign(ruled, {
    path: path.path,
    method: request.method,
    tls: undefined,
    route: undefined,
    clearRouteCache: () => {},
  });
}

/** What the filters before the router make of it; a verdict when one refuses. */
function runFilters(
  config: ExplainConfig,
  { httpFilters }: HttpConnectionManagerConfig,
  { nowSeconds }: Arrival,
  request: Request,
  info: ConnectionInfo,
  story: Narrative,
): Verdict | undefined {
  const clientKnown = knowsClient(config);
  const judgement = judgeFilters(httpFilters, { connection: info, request, nowSeconds, clientKnown, policies: config.mesh?.policies });
  if (judgement !== undefined) tellJudgement(judgement, { name: config.name, address: "" }, story);
  const refusal = judgement?.refusal;
  if (refusal !== undefined) return replied(refusal, `answered with ${refusal.status}: ${refusal.details}`);
  tellRateLimits(httpFilters, request, story);
  return undefined;
}

interface FoundHost {
  readonly host: VirtualHost;
  readonly domain: string;
}

/** The virtual host of an authority, and which of its domains took it. */
function findHost({ virtualHosts, ignorePortInHostMatching: ignorePort }: RouteConfiguration, authority: string): FoundHost | undefined {
  const entries = virtualHosts.flatMap((host) => host.domains.map((domain) => ({ domains: [domain], value: { host, domain } })));
  return compileDomains(entries, { ignorePort }).find(authority);
}

/** The virtual hosts for what no service claims, as Istio calls them. */
const unclaimedHosts: ReadonlySet<string> = new Set(["allow_any", "block_all"]);

function explainHost(
  config: ExplainConfig,
  { virtualHosts }: RouteConfiguration,
  { host, domain }: FoundHost,
  { authority }: Request,
  step: StepWriter,
  story: Narrative,
): void {
  step.because(
    `host ${authority} is ${domain === authority.toLowerCase() ? "its domain" : domain === hostOf(authority).toLowerCase() ? "its domain, whatever the port" : `covered by its domain ${domain}`}`,
  );
  if (unclaimedHosts.has(host.name) && config.mesh !== undefined) step.all([config.mesh.outboundPolicy()]);
  if (!domain.includes("*") || virtualHosts.length === 1) return;
  const exact = virtualHosts.flatMap((each) => each.domains).filter((each) => !each.includes("*"));
  const near = nearestNames(exact, authority.toLowerCase());
  const tail = near.length === 0 ? "" : `; the nearest are ${near.join(", ")}`;
  story.warn("wildcard_only", `no virtual host is for ${authority}, so ${host.name} takes it by ${domain}${tail}`);
  for (const { code, text, place } of config.mesh?.whyNoName(hostOf(authority)) ?? []) {
    if (code === "not_visible") {
      step.because(text, place);
      story.warn(code, text, place);
    }
  }
}

const hostOf = (authority: string): string => {
  const at = portStart(authority);
  return at < 0 ? authority : authority.slice(0, at);
};

function noHost(model: RouteConfiguration, { authority }: Request, data: Readonly<Record<string, unknown>>, story: Narrative): Verdict {
  const domains = model.virtualHosts.flatMap((host) => host.domains);
  const near = nearestNames(domains, authority.toLowerCase());
  const nearer = near.length > 0 ? near : domains.slice(0, 3);
  const step = story.step("route", `no virtual host is for ${authority}`, { ...data, nearest: near }, true);
  step.because(
    domains.length === 0
      ? `${model.name} has no virtual hosts`
      : `${near.length > 0 ? "the nearest hosts are" : "among its hosts are"} ${nearer.join(", ")}`,
  );
  return replied(replies.routeNotFound, `answered with 404: no virtual host is for ${authority}`);
}

function noRoute(host: VirtualHost, request: Request, data: Readonly<Record<string, unknown>>, story: Narrative): Verdict {
  const step = story.step("route", `no route of ${host.name} matches`, { ...data, virtualHost: host.name }, true);
  if (host.routes.length === 0) step.because("it has no routes");
  for (const [index, { name, match }] of host.routes.entries())
    step.because(`route ${name || index} wants ${whyNot(match, request) ?? describeMatch(match)}`);
  return replied(replies.routeNotFound, `answered with 404: no route of ${host.name} matches ${request.method} ${request.path}`);
}

/** The conditions of a route that a request does not meet, each tried alone by the code that tries them all; undefined: it meets them. */
function whyNot(match: RouteMatch, request: RouteRequest): string | undefined {
  const misses: string[] = [];
  if (!matchesPath(compileRoutePath(match.path), withoutQuery(request.path), request)) misses.push(describePath(match.path));
  const bare: RouteMatch = { path: match.path, headers: [], queryParameters: [], cookies: [], grpc: false, runtimeFraction: 1 };
  const queryAt = request.path.indexOf("?");
  const query = queryAt < 0 ? "" : request.path.slice(queryAt + 1);
  const meets = (part: Partial<RouteMatch>): boolean => compileConditions({ ...bare, ...part })?.(request, query, 0) ?? true;
  for (const header of match.headers) if (!meets({ headers: [header] })) misses.push(describeHeader(header));
  for (const cookie of match.cookies) if (!meets({ cookies: [cookie] })) misses.push(`cookie ${cookie.name}`);
  for (const parameter of match.queryParameters) if (!meets({ queryParameters: [parameter] })) misses.push(describeParameter(parameter));
  for (const matcher of match.dynamicMetadata ?? []) if (!meets({ dynamicMetadata: [matcher] })) misses.push(describeMetadata(matcher));
  if (match.grpc && !meets({ grpc: true })) misses.push("gRPC");
  if (match.tls !== undefined && !meets({ tls: match.tls })) misses.push("a client certificate");
  return misses.length === 0 ? undefined : misses.join(", ");
}

function act(route: CompiledRoute, manager: HttpConnectionManagerConfig, request: Request, step: StepWriter): readonly Target[] | Verdict {
  const { action } = route;
  switch (action.kind) {
    case "route": {
      const { model } = action;
      step.all(describeForward(model).map((text): Reason => ({ text })));
      const common = {
        unknownStatus: model.clusterNotFoundStatus,
        http: manager,
        ...(model.retryPolicy === undefined ? {} : { retryPolicy: model.retryPolicy }),
        metadataMatch: model.metadataMatch,
        sniDnat: false,
      };
      if (model.target.kind !== "weighted") return [{ cluster: action.pickCluster(request, 0).name, share: 1, ...common }];
      const { clusters, totalWeight } = model.target;
      const shares = clusters
        .filter(({ weight }) => weight > 0)
        .map(({ name, weight }) => ({ cluster: name, share: weight / totalWeight, ...common }));
      step.because(`shared among ${shares.map(({ cluster, share }) => `${cluster} (${percent(share)})`).join(", ")}`);
      return shares;
    }
    case "redirect": {
      const text = `answered with ${action.status} to ${action.location(request)}`;
      step.because(text);
      return replied(plainReply(action.status, "direct_response"), text);
    }
    case "direct_response": {
      const text = `answered with ${action.status} by the route itself`;
      step.because(text);
      return replied(plainReply(action.status, "direct_response"), text);
    }
    case "non_forwarding":
      return replied(replies.routeNotFound, "answered with 404: the route does not forward");
  }
}
