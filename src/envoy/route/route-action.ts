// Decoders of what a route does: forward, redirect, answer directly.
import { decodeRateLimitPolicies } from "./rate-limit.ts";
import { decodeLbMetadata } from "../address.ts";
import { decodeBodyFormat } from "../body-format.ts";
import { decodeDataSource } from "../data-source.ts";
import type { Decoder } from "../decode/cursor.ts";
import { type Fields, message } from "../decode/message.ts";
import { bool, duration, enumeration, headerName, integer, list, nonEmpty, text, uint32 } from "../decode/scalars.ts";
import { decodePerFilterConfig } from "../listener/filter-config.ts";
import { decodeHeaderMutations } from "./header-mutations.ts";
import { decodeInternalRedirectPolicy } from "./internal-redirect.ts";
import { decodeTemplateRewrite } from "./template-rewrite.ts";
import type {
  DirectResponseAction,
  ForwardAction,
  HashPolicy,
  HostRewrite,
  RedirectAction,
  WeightedCluster,
  WeightedTarget,
} from "./route.ts";
import { decodeHashPolicies, decodeHedgePolicy, decodeMirrorPolicy, decodeRetryPolicy, decodeUpgrades } from "./route-policy.ts";
import { decodeRegexSubstitution } from "../string-matcher.ts";

type Target = ForwardAction["target"];

const decodeClusterWeight: Decoder<WeightedCluster> = message("envoy.config.route.v3.WeightedCluster.ClusterWeight", (m) => {
  // As in Envoy, name comes first where both are given.
  const clusterHeader = m.maybe("clusterHeader", "cluster_header", headerName);
  const name = m.field("name", text, "");
  if (name === "" && clusterHeader.clusterHeader === undefined) m.at.error("name or cluster_header is required");
  return {
    name,
    ...(name === "" ? clusterHeader : {}),
    ...m.maybe("metadataMatch", "metadata_match", decodeLbMetadata),
    weight: m.field("weight", uint32, 0),
    headers: decodeHeaderMutations(m),
    ...m.maybe("hostRewriteLiteral", "host_rewrite_literal", text),
    typedPerFilterConfig: m.field("typed_per_filter_config", decodePerFilterConfig, {}),
  };
});

const decodeWeightedClusters = message("envoy.config.route.v3.WeightedCluster", (m): WeightedTarget & { readonly hashed: boolean } => {
  m.accept("runtime_key_prefix");
  const clusters = m.required("clusters", list(decodeClusterWeight, { min: 1 }));
  const sum = clusters.reduce((total, cluster) => total + cluster.weight, 0);
  const totalWeight = m.field("total_weight", uint32, sum);
  if (totalWeight !== sum) m.at.error(`the weights sum up to ${sum}, not to ${totalWeight}`, "total_weight");
  if (sum === 0 && m.has("clusters")) m.at.error("the weights sum up to 0", "clusters");
  if (sum > 0xffff_ffff) m.at.error("the weights sum up to more than 4294967295", "clusters");
  const chosenBy = m.oneof<{ readonly randomHeader?: string; readonly hashed?: boolean }>({
    header_name: (json, at) => ({ randomHeader: headerName(json, at) }),
    use_hash_policy: (json, at) => ({ hashed: bool(json, at) }),
  });
  return { kind: "weighted", clusters, totalWeight, hashed: false, ...chosenBy };
});

// The hash policies belong to the route. Envoy adds no cookie for the choice of a cluster.
function withHash(target: Target & { readonly hashed?: boolean }, policies: readonly HashPolicy[]): Target {
  if (target.kind !== "weighted" || target.hashed === undefined) return target;
  const { hashed, ...plain } = target;
  if (!hashed) return plain;
  const hashPolicy = policies.map((policy) => {
    if (policy.kind !== "cookie") return policy;
    const { ttlMs: _unused, ...sentOnly } = policy;
    return sentOnly;
  });
  return { ...plain, hashPolicy };
}

const notFoundCode = enumeration({ SERVICE_UNAVAILABLE: 0, NOT_FOUND: 1, INTERNAL_SERVER_ERROR: 2 });
const notFoundStatus = { SERVICE_UNAVAILABLE: 503, NOT_FOUND: 404, INTERNAL_SERVER_ERROR: 500 };
const priority = enumeration({ DEFAULT: 0, HIGH: 1 });

const decodeMaxStreamDuration = message("envoy.config.route.v3.RouteAction.MaxStreamDuration", (m) => ({
  ...m.maybe("maxStreamDurationMs", "max_stream_duration", duration),
  ...m.maybe("grpcTimeoutHeaderMaxMs", "grpc_timeout_header_max", duration),
  ...m.maybe("grpcTimeoutHeaderOffsetMs", "grpc_timeout_header_offset", duration),
}));

function hostRewrite(m: Fields): { readonly hostRewrite?: HostRewrite } {
  const rewrite = m.oneof<HostRewrite | undefined>({
    host_rewrite_literal: (json, at) => ({ kind: "literal", value: text(json, at) }),
    auto_host_rewrite: (json, at) => (bool(json, at) ? { kind: "auto" } : undefined),
    host_rewrite_header: (json, at) => ({ kind: "header", name: headerName(json, at) }),
    host_rewrite: (json, at) => ({ kind: "format", text: text(json, at) }),
    host_rewrite_path_regex: (json, at) => ({ kind: "pathRegex", ...decodeRegexSubstitution(json, at) }),
  });
  return rewrite ? { hostRewrite: rewrite } : {};
}

/** route.v3.RouteAction; `includeAttemptCount` comes from the virtual host. */
export function decodeForwardAction(includeAttemptCount: boolean): Decoder<ForwardAction> {
  return message("envoy.config.route.v3.RouteAction", (m) => {
    m.refuse("cluster specifier plugins", "cluster_specifier_plugin", "inline_cluster_specifier_plugin");
    m.accept("early_data_policy");
    const prefixRewrite = m.maybe("prefixRewrite", "prefix_rewrite", text);
    const regexRewrite = m.maybe("regexRewrite", "regex_rewrite", decodeRegexSubstitution);
    const pathFormat = m.maybe("pathFormat", "path_rewrite", text);
    const pathTemplateRewrite = m.maybe("pathTemplateRewrite", "path_rewrite_policy", decodeTemplateRewrite);
    const rewrites = [
      prefixRewrite.prefixRewrite,
      regexRewrite.regexRewrite,
      pathFormat.pathFormat,
      pathTemplateRewrite.pathTemplateRewrite,
    ];
    if (rewrites.filter((rewrite) => rewrite !== undefined && rewrite !== "").length > 1)
      m.at.error("give one of prefix_rewrite, regex_rewrite, path_rewrite and path_rewrite_policy");
    const hashPolicy = m.field("hash_policy", decodeHashPolicies, []);
    const target = m.requiredOneof<Target & { readonly hashed?: boolean }>(
      {
        cluster: (json, at) => ({ kind: "cluster", name: nonEmpty(json, at) }),
        cluster_header: (json, at) => ({ kind: "clusterHeader", name: headerName(json, at) }),
        weighted_clusters: decodeWeightedClusters,
      },
      { kind: "cluster", name: "" },
    );
    return {
      kind: "route",
      target: withHash(target, hashPolicy),
      clusterNotFoundStatus: notFoundStatus[m.field("cluster_not_found_response_code", notFoundCode, "SERVICE_UNAVAILABLE")],
      metadataMatch: m.field("metadata_match", decodeLbMetadata, {}),
      ...prefixRewrite,
      ...regexRewrite,
      ...pathFormat,
      ...pathTemplateRewrite,
      ...hostRewrite(m),
      appendXForwardedHost: m.field("append_x_forwarded_host", bool, false),
      // As in Envoy, a route with max_stream_duration has none of the older timeouts.
      timeoutMs: m.has("max_stream_duration") ? (m.field("timeout", duration, 0), 0) : m.field("timeout", duration, 15_000),
      ...m.maybe("idleTimeoutMs", "idle_timeout", duration),
      // The older way to honour grpc-timeout, which istiod still sends.
      ...(m.has("max_stream_duration") ? (m.accept("max_grpc_timeout"), {}) : m.maybe("maxGrpcTimeoutMs", "max_grpc_timeout", duration)),
      ...m.maybe("grpcTimeoutOffsetMs", "grpc_timeout_offset", duration),
      ...m.field("max_stream_duration", decodeMaxStreamDuration, {}),
      ...m.maybe("retryPolicy", "retry_policy", decodeRetryPolicy),
      ...m.maybe("hedgeOnPerTryTimeout", "hedge_policy", decodeHedgePolicy),
      mirrors: m.field("request_mirror_policies", list(decodeMirrorPolicy), []),
      hashPolicy,
      priority: m.field("priority", priority, "DEFAULT"),
      ...m.field("upgrade_configs", decodeUpgrades, { upgrades: {} }),
      includeAttemptCount,
      ...m.maybe("internalRedirects", "internal_redirect_policy", decodeInternalRedirectPolicy),
      ...m.maybe("rateLimits", "rate_limits", decodeRateLimitPolicies),
      ...m.maybe("includeVhRateLimits", "include_vh_rate_limits", bool),
    };
  });
}

const redirectCode = enumeration({ MOVED_PERMANENTLY: 0, FOUND: 1, SEE_OTHER: 2, TEMPORARY_REDIRECT: 3, PERMANENT_REDIRECT: 4 });
const redirectStatus = { MOVED_PERMANENTLY: 301, FOUND: 302, SEE_OTHER: 303, TEMPORARY_REDIRECT: 307, PERMANENT_REDIRECT: 308 } as const;

/** route.v3.RedirectAction. */
export const decodeRedirectAction: Decoder<RedirectAction> = message("envoy.config.route.v3.RedirectAction", (m) => ({
  kind: "redirect",
  ...m.maybe("schemeRedirect", "scheme_redirect", nonEmpty),
  httpsRedirect: m.field("https_redirect", bool, false),
  ...m.maybe("hostRedirect", "host_redirect", nonEmpty),
  ...m.maybe("portRedirect", "port_redirect", integer(1, 65535)),
  path: m.oneof<RedirectAction["path"]>({
    path_redirect: (json, at) => ({ kind: "path", value: text(json, at) }),
    prefix_rewrite: (json, at) => ({ kind: "prefix", value: text(json, at) }),
    regex_rewrite: (json, at) => ({ kind: "regex", ...decodeRegexSubstitution(json, at) }),
  }) ?? { kind: "none" },
  responseCode: redirectStatus[m.field("response_code", redirectCode, "MOVED_PERMANENTLY")],
  stripQuery: m.field("strip_query", bool, false),
}));

/** route.v3.DirectResponseAction. */
export const decodeDirectResponseAction: Decoder<DirectResponseAction> = message("envoy.config.route.v3.DirectResponseAction", (m) => ({
  kind: "direct_response",
  status: m.required("status", integer(200, 599)),
  body: Buffer.from(m.field("body", decodeDataSource, new Uint8Array())).toString("latin1"),
  ...m.maybe("format", "body_format", decodeBodyFormat),
}));
