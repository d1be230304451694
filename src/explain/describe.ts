// Matchers and settings in words.
import type { CircuitBreakerThresholds, Cluster, LbPolicy } from "../envoy/cluster/cluster.ts";
import type { Locality } from "../envoy/cluster/endpoint.ts";
import type { FilterChainMatch } from "../envoy/listener/listener.ts";
import type { MetadataMatcher, ValueMatcher } from "../envoy/metadata-matcher.ts";
import type { ForwardAction, RouteMatch } from "../envoy/route/route.ts";
import type { HeaderMatcher, PathMatcher, QueryParameterMatcher, StringMatcher } from "../envoy/string-matcher.ts";
import type { UpstreamTlsContext } from "../envoy/tls/tls.ts";
import type { MatchCriterion } from "../listener/filter-chain-manager.ts";

/** `prefix "/api"`. */
function describeString(matcher: StringMatcher): string {
  if (matcher.kind === "safeRegex") return `regex ${JSON.stringify(matcher.regex)}`;
  return `${matcher.kind} ${JSON.stringify(matcher.value)}${matcher.ignoreCase ? " in any case" : ""}`;
}

/** `path prefix "/api"`. */
export function describePath(matcher: PathMatcher): string {
  switch (matcher.kind) {
    case "prefix":
    case "path":
    case "pathSeparatedPrefix": {
      const kind = matcher.kind === "prefix" ? "path prefix" : matcher.kind === "path" ? "path" : "path segments";
      return `${kind} ${JSON.stringify(matcher.value)}${matcher.caseSensitive ? "" : " in any case"}`;
    }
    case "safeRegex":
      return `path regex ${JSON.stringify(matcher.regex)}`;
    case "template":
      return `path template ${JSON.stringify(matcher.template)}`;
    case "connect":
      return "CONNECT";
  }
}

/** `header end-user exact "jason"`. */
export function describeHeader({ name, match, invertMatch }: HeaderMatcher): string {
  const wanted =
    match.kind === "string"
      ? describeString(match.matcher)
      : match.kind === "present"
        ? match.present
          ? "present"
          : "absent"
        : `from ${match.start} to ${match.end - 1}`;
  return `header ${name} ${invertMatch ? "not " : ""}${wanted}`;
}

/** `query parameter v exact "2"`. */
export function describeParameter({ name, match }: QueryParameterMatcher): string {
  return `query parameter ${name} ${match.kind === "string" ? describeString(match.matcher) : match.present ? "present" : "absent"}`;
}

/** `claim realm.role exact "admin"`, or what another filter has to have said. */
export function describeMetadata({ filter, path, value, invert }: MetadataMatcher): string {
  const claim = filter === "envoy.filters.http.jwt_authn" && path[0] === "payload";
  const what = claim ? `claim ${path.slice(1).join(".")}` : `metadata ${filter} ${path.join(".")}`;
  return `${what} ${invert ? "not " : ""}${describeValue(value)}`;
}

function describeValue(value: ValueMatcher): string {
  switch (value.kind) {
    case "string":
      return describeString(value.matcher);
    case "oneOf":
      return `with one ${describeValue(value.item)}`;
    case "or":
      return value.matchers.map(describeValue).join(" or ");
    case "present":
      return value.present ? "present" : "absent";
    case "bool":
      return String(value.value);
    case "double":
      return String(value.exact);
    case "range":
      return `from ${value.start} to below ${value.end}`;
    case "null":
      return "null";
  }
}

/** Everything a route asks for. */
export function describeMatch({ path, headers, queryParameters, grpc, runtimeFraction, tls, dynamicMetadata = [] }: RouteMatch): string {
  return [
    describePath(path),
    ...headers.map(describeHeader),
    ...queryParameters.map(describeParameter),
    ...dynamicMetadata.map(describeMetadata),
    ...(grpc ? ["gRPC"] : []),
    ...(tls === undefined ? [] : ["client certificate"]),
    ...(runtimeFraction < 1 ? [`${percent(runtimeFraction)} of the requests`] : []),
  ].join(", ");
}

/** A share of one as percent. */
export function percent(share: number): string {
  return `${Number((share * 100).toFixed(2))} %`;
}

/** What a chain wants by one criterion; `anything` where it does not say. */
export function describeCriterion(match: FilterChainMatch, criterion: MatchCriterion): string {
  const values = criterionValues(match, criterion);
  return values.length === 0 ? "anything" : values.join(", ");
}

function criterionValues(match: FilterChainMatch, criterion: MatchCriterion): readonly string[] {
  const ranges = (list: FilterChainMatch["prefixRanges"]): readonly string[] =>
    list.map((each) => `${each.addressPrefix}/${each.prefixLen}`);
  switch (criterion) {
    case "destination_port":
      return match.destinationPort === undefined ? [] : [String(match.destinationPort)];
    case "prefix_ranges":
      return ranges(match.prefixRanges);
    case "server_names":
      return match.serverNames;
    case "transport_protocol":
      return match.transportProtocol === "" ? [] : [match.transportProtocol];
    case "application_protocols":
      return match.applicationProtocols;
    case "direct_source_prefix_ranges":
      return ranges(match.directSourcePrefixRanges);
    case "source_type":
      return match.sourceType === "ANY" ? [] : [match.sourceType];
    case "source_prefix_ranges":
      return ranges(match.sourcePrefixRanges);
    case "source_ports":
      return match.sourcePorts.map(String);
  }
}

/** `LEAST_REQUEST of 2`. */
export function describeLb(policy: LbPolicy): string {
  return policy.kind === "LEAST_REQUEST" ? `LEAST_REQUEST of ${policy.choiceCount}` : policy.kind;
}

const unlimited = 0xffff_ffff;

/** Limits that can be reached. */
export function describeBreakers({ maxConnections, maxPendingRequests, maxRequests, maxRetries }: CircuitBreakerThresholds): string {
  const limits = Object.entries({
    connections: maxConnections,
    "pending requests": maxPendingRequests,
    requests: maxRequests,
    retries: maxRetries,
  });
  const finite = limits.filter(([, limit]) => limit < unlimited).map(([name, limit]) => `${limit} ${name}`);
  return finite.length === 0 ? "none" : finite.join(", ");
}

/** When hosts are ejected; undefined when never. */
export function describeOutliers({ outlierDetection: detection }: Cluster): string | undefined {
  if (detection === undefined) return undefined;
  return [
    detection.consecutive5xx > 0 && detection.enforcing.consecutive_5xx > 0 ? `${detection.consecutive5xx} consecutive 5xx` : "",
    detection.consecutiveGatewayFailure > 0 && detection.enforcing.consecutive_gateway_failure > 0
      ? `${detection.consecutiveGatewayFailure} consecutive gateway errors`
      : "",
  ]
    .filter((part) => part !== "")
    .concat(
      `every ${seconds(detection.intervalMs)}`,
      `for ${seconds(detection.baseEjectionTimeMs)}`,
      `at most ${detection.maxEjectionPercent} %`,
    )
    .join(", ");
}

/** Milliseconds as people write them. */
export function seconds(ms: number): string {
  return ms % 1000 === 0 ? `${ms / 1000} s` : `${ms} ms`;
}

/** Timeouts, retries and what changes on the way. */
export function describeForward(action: ForwardAction): readonly string[] {
  const { timeoutMs, retryPolicy, mirrors, prefixRewrite, regexRewrite, hostRewrite } = action;
  const retries = retryPolicy;
  return [
    timeoutMs === 0 ? "no timeout" : `timeout ${seconds(timeoutMs)}`,
    retries === undefined || retries.numRetries === 0
      ? "no retries"
      : `up to ${retries.numRetries} retries on ${retries.retryOn.join(", ")}${retries.perTryTimeoutMs > 0 ? `, ${seconds(retries.perTryTimeoutMs)} a try` : ""}`,
    ...(prefixRewrite === undefined || prefixRewrite === ""
      ? []
      : [`the matched part of the path becomes ${JSON.stringify(prefixRewrite)}`]),
    ...(regexRewrite === undefined ? [] : [`the path is rewritten by regex ${JSON.stringify(regexRewrite.regex)}`]),
    ...(hostRewrite?.kind === "literal" ? [`the host becomes ${hostRewrite.value}`] : []),
    ...mirrors.map(
      (mirror) =>
        `${percent(mirror.fraction)} is mirrored to ${mirror.clusterHeader === undefined ? mirror.cluster : `the cluster that ${mirror.clusterHeader} names`}`,
    ),
  ];
}

/** `region/zone/subzone`, or `no locality`. */
export function describeLocality({ region, zone, subZone }: Locality): string {
  return [region, zone, subZone].join("/").replace(/\/+$/, "") || "no locality";
}

/** The names a server's certificate may have; undefined: any of the trusted roots. */
export function expectedSans({ common }: UpstreamTlsContext): readonly string[] | undefined {
  const sans = common.validation?.matchSubjectAltNames.map(({ matcher }) =>
    matcher.kind === "exact" ? matcher.value : describeString(matcher),
  );
  return sans === undefined || sans.length === 0 ? undefined : sans;
}
