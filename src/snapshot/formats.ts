// Checks the formats (`%COMMAND%` strings) in routes and filters by compiling them, as the workers will: what does not compile has
// to be refused here, where the last good configuration can go on serving.
import type { HeaderMutations, HeaderValueOption, Route, RouteConfiguration, RouteMatch, VirtualHost } from "../envoy/route/route.ts";
import type { BodyFormat } from "../envoy/body-format.ts";
import type { LocalReplyConfig } from "../envoy/listener/local-reply-config.ts";
import type { Listener } from "../envoy/listener/listener.ts";
import type { Issue } from "../error.ts";
import { captureTemplate, templateSubstitution, uriTemplatePattern } from "../match/uri-template.ts";
import { compileBodyFormat } from "../telemetry/format/body-format.ts";
import { compileFormat } from "../telemetry/format.ts";
import { chainsOf, connectionManagerOf } from "./filter-support.ts";

/** Where issues go: a path that starts at the resource. */
export type Report = (issue: Issue) => void;

type Path = Issue["path"];

/** Reports formats of a route configuration that do not compile; `path` is where it is. */
export function checkRouteFormats(routes: RouteConfiguration, path: Path, report: Report): void {
  checkHeaders(routes.headers, path, report);
  checkFilterFormats(routes.typedPerFilterConfig, [...path, "typed_per_filter_config"], report);
  routes.virtualHosts.forEach((host, index) => checkHost(host, () => [...path, "virtual_hosts", index], report));
}

/** Reports formats in a listener's HTTP connection managers that do not compile: inline routes, and filters. */
export function checkListenerFormats(listener: Listener, report: Report): void {
  for (const { chain, path } of chainsOf(listener)) {
    chain.filters.forEach((filter, index) => {
      const manager = connectionManagerOf(filter);
      if (manager === undefined) return;
      const at = [...path, "filters", index, "typed_config"];
      if (manager.routes.kind === "inline") checkRouteFormats(manager.routes.config, [...at, "route_config"], report);
      if (manager.localReplies !== undefined) checkLocalReplies(manager.localReplies, [...at, "local_reply_config"], report);
      manager.httpFilters.forEach((http, position) => checkFilterFormats(http.config, [...at, "http_filters", position], report));
    });
  }
}

// Thousands of hosts stay the same objects from load to load.
const soundHosts = new WeakSet<VirtualHost>();

function checkHost(host: VirtualHost, path: () => Path, report: Report): void {
  if (soundHosts.has(host)) return;
  let sound = true;
  const note: Report = (issue) => {
    sound = false;
    report({ ...issue, path: [...path(), ...issue.path] });
  };
  checkHeaders(host.headers, [], note);
  checkFilterFormats(host.typedPerFilterConfig, ["typed_per_filter_config"], note);
  checkFilterFormats(host.rateLimits, ["rate_limits"], note);
  host.routes.forEach((route, index) => checkRoute(route, ["routes", index], note));
  if (sound) soundHosts.add(host);
}

function checkRoute({ action, headers, match, typedPerFilterConfig }: Route, path: Path, report: Report): void {
  if (match.path.kind === "template") {
    const pattern = uriTemplatePattern(match.path.template);
    if (typeof pattern !== "string")
      report({ severity: "error", path: [...path, "match", "path_match_policy"], message: `the template ${pattern.error}` });
  }
  checkHeaders(headers, path, report);
  checkFilterFormats(typedPerFilterConfig, [...path, "typed_per_filter_config"], report);
  if (action.kind === "direct_response") checkBody(action.format, [...path, "direct_response", "body_format"], report);
  if (action.kind !== "route") return;
  checkFilterFormats(action.rateLimits, [...path, "route", "rate_limits"], report);
  if (action.hostRewrite?.kind === "format") checkFormat(action.hostRewrite.text, [...path, "route", "host_rewrite"], "", report);
  if (action.pathFormat !== undefined) checkFormat(action.pathFormat, [...path, "route", "path_rewrite"], "", report);
  if (action.pathTemplateRewrite !== undefined) checkTemplateRewrite(match, action.pathTemplateRewrite, [...path, "route"], report);
  if (action.target.kind !== "weighted") return;
  action.target.clusters.forEach((cluster, index) => {
    const at = [...path, "route", "weighted_clusters", "clusters", index];
    checkHeaders(cluster.headers, at, report);
    checkFilterFormats(cluster.typedPerFilterConfig, [...at, "typed_per_filter_config"], report);
  });
}

function checkBody(format: BodyFormat | undefined, path: Path, report: Report): void {
  if (format === undefined) return;
  for (const { severity, message } of compileBodyFormat(format).issues) report({ severity, path, message });
}

function checkLocalReplies({ mappers, format }: LocalReplyConfig, path: Path, report: Report): void {
  checkBody(format, [...path, "body_format"], report);
  mappers.forEach((mapper, index) => {
    const at = [...path, "mappers", index];
    checkBody(mapper.format, [...at, "body_format_override"], report);
    checkAdditions(mapper.headersToAdd, [...at, "headers_to_add"], report);
  });
}

function checkTemplateRewrite({ path: matched }: RouteMatch, rewrite: string, path: Path, report: Report): void {
  const template = matched.kind === "template" ? captureTemplate(matched.template) : { error: "needs a path_match_policy of its kind" };
  const problem = "error" in template ? template : templateSubstitution(rewrite, template.names);
  if (typeof problem !== "string")
    report({ severity: "error", path: [...path, "path_rewrite_policy"], message: `the template ${problem.error}` });
}

function checkHeaders({ requestAdd, responseAdd }: HeaderMutations, path: Path, report: Report): void {
  checkAdditions(requestAdd, [...path, "request_headers_to_add"], report);
  checkAdditions(responseAdd, [...path, "response_headers_to_add"], report);
}

function checkAdditions(additions: readonly HeaderValueOption[], path: Path, report: Report): void {
  additions.forEach(({ value }, index) => checkFormat(value, [...path, index, "header", "value"], "", report));
}

function checkFormat(text: string, path: Path, who: string, report: Report): void {
  if (!text.includes("%")) return;
  for (const { severity, message } of compileFormat(text, { missing: "" }).issues) report({ severity, path, message: `${who}${message}` });
}

const soundConfigs = new WeakSet<object>();

/** Reports header values in a filter's decoded configuration that do not compile, whatever the filter; all at `path`. */
function checkFilterFormats(config: unknown, path: Path, report: Report): void {
  if (typeof config !== "object" || config === null || soundConfigs.has(config)) return;
  let sound = true;
  visit(config, 0, (key, value) =>
    checkFormat(value, path, `${key}: `, (issue) => {
      sound = false;
      report(issue);
    }),
  );
  if (sound) soundConfigs.add(config);
}

// Deeper than any configuration goes.
const deepest = 32;

function visit(value: object, depth: number, onHeader: (key: string, value: string) => void): void {
  if (depth > deepest || ArrayBuffer.isView(value)) return;
  if (Array.isArray(value)) {
    for (const item of value as readonly unknown[]) if (typeof item === "object" && item !== null) visit(item, depth + 1, onHeader);
    return;
  }
  if (isAddition(value)) onHeader(value.key, value.value);
  else for (const member of Object.values(value)) if (typeof member === "object" && member !== null) visit(member, depth + 1, onHeader);
}

// A HeaderValueOption, a query parameter that is added, or a rate limit action with a format.
function isAddition(value: object): value is { readonly key: string; readonly value: string } {
  const { key, value: text, appendAction, action, kind } = value as Readonly<Record<string, unknown>>;
  if (typeof key !== "string" || typeof text !== "string") return false;
  return typeof appendAction === "string" || typeof action === "string" || kind === "remoteAddressMatch";
}
