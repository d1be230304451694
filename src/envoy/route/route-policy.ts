// Decoders of what a forwarding route carries along: retries, mirrors, hashing, upgrades.
import { anyOf, unsupportedType } from "../decode/any.ts";
import type { Decoder } from "../decode/cursor.ts";
import { emptyMessage, type Fields, message } from "../decode/message.ts";
import {
  bool,
  duration,
  enumeration,
  headerName,
  int64,
  integer,
  list,
  listOf,
  nonEmpty,
  positiveDuration,
  text,
  uint32,
} from "../decode/scalars.ts";
import { decodeRuntimeShare } from "../percent.ts";
import type { ConnectConfig, ForwardAction, HashPolicy, MirrorPolicy, RateLimitedBackOff, RetryPolicy } from "./route.ts";
import { decodeHeaderMatcher, decodeRegexSubstitution } from "../string-matcher.ts";

const decodePreviousHosts: Decoder<boolean> = emptyMessage("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate");

const decodeHostPredicate: Decoder<boolean> = message("envoy.config.route.v3.RetryPolicy.RetryHostPredicate", (m) => {
  m.required("name", nonEmpty);
  return m.required(
    "typed_config",
    anyOf({ "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate": decodePreviousHosts }, (type, at) => {
      at.warn(unsupportedType(type, []));
      return false;
    }),
  );
});

const hostPredicates = list(decodeHostPredicate);

const decodeBackOff = message("envoy.config.route.v3.RetryPolicy.RetryBackOff", (m) => {
  const base = m.required("base_interval", positiveDuration);
  const max = m.field("max_interval", positiveDuration, base * 10);
  if (max < base) m.at.error("below base_interval", "max_interval");
  return { base, max };
});

const resetFormat = enumeration({ SECONDS: 0, UNIX_TIMESTAMP: 1 });

const decodeResetHeader = message("envoy.config.route.v3.RetryPolicy.ResetHeader", (m) => ({
  name: m.required("name", headerName).toLowerCase(),
  format: m.field("format", resetFormat, "SECONDS"),
}));

const decodeRateLimitedBackOff: Decoder<RateLimitedBackOff> = message("envoy.config.route.v3.RetryPolicy.RateLimitedRetryBackOff", (m) => ({
  resetHeaders: m.required("reset_headers", list(decodeResetHeader, { min: 1 })),
  maxMs: m.field("max_interval", positiveDuration, 300_000),
}));

// Envoy's base is a runtime value of 25 ms, and the maximum ten times the base.
const defaultBackOff = { base: 25, max: 250 };

/** route.v3.RetryPolicy. */
export const decodeRetryPolicy: Decoder<RetryPolicy> = message("envoy.config.route.v3.RetryPolicy", (m) => {
  const backOff = m.field("retry_back_off", decodeBackOff, defaultBackOff);
  const retryOn = m.field("retry_on", text, "");
  return {
    retryOn: retryOn
      .split(",")
      .map((condition) => condition.trim())
      .filter((condition) => condition !== ""),
    numRetries: m.field("num_retries", uint32, 1),
    perTryTimeoutMs: m.field("per_try_timeout", duration, 0),
    perTryIdleTimeoutMs: m.field("per_try_idle_timeout", duration, 0),
    retriableStatusCodes: m.field("retriable_status_codes", list(integer(100, 999)), []),
    retriableHeaders: m.field("retriable_headers", list(decodeHeaderMatcher), []),
    retriableRequestHeaders: m.field("retriable_request_headers", list(decodeHeaderMatcher), []),
    ...m.maybe("rateLimitedBackOff", "rate_limited_retry_back_off", decodeRateLimitedBackOff),
    backOffBaseMs: backOff.base,
    backOffMaxMs: backOff.max,
    avoidPreviousHosts: m.field("retry_host_predicate", hostPredicates, []).some((previous) => previous),
    hostSelectionRetryMaxAttempts: Math.max(1, m.field("host_selection_retry_max_attempts", int64, 1)),
  };
});

/** route.v3.HedgePolicy: whether it hedges on a per-try timeout, which is all of it that Envoy does. */
export const decodeHedgePolicy: Decoder<boolean> = message("envoy.config.route.v3.HedgePolicy", (m) => {
  m.field("initial_requests", integer(1, 0xffff_ffff), 1);
  m.ignore("additional_request_chance");
  return m.field("hedge_on_per_try_timeout", bool, false);
});

function mirrorTarget(m: Fields): Pick<MirrorPolicy, "cluster" | "clusterHeader"> {
  // As in Envoy, cluster comes first where both are given.
  const clusterHeader = m.maybe("clusterHeader", "cluster_header", headerName);
  const cluster = m.field("cluster", text, "");
  if (cluster !== "") return { cluster };
  if (clusterHeader.clusterHeader === undefined) m.at.error("cluster or cluster_header is required");
  return { cluster: "", ...clusterHeader };
}

/** route.v3.RouteAction.RequestMirrorPolicy. */
export const decodeMirrorPolicy: Decoder<MirrorPolicy> = message("envoy.config.route.v3.RouteAction.RequestMirrorPolicy", (m) => {
  m.accept("trace_sampled");
  return {
    ...mirrorTarget(m),
    fraction: m.field("runtime_fraction", decodeRuntimeShare, 1),
    disableShadowHostSuffixAppend: m.field("disable_shadow_host_suffix_append", bool, false),
  };
});

// Omit over a union keeps only what its members share, so the members are told apart first.
type WithoutTerminal<T> = T extends unknown ? Omit<T, "terminal"> : never;
type HashSource = WithoutTerminal<HashPolicy>;

const decodeHeaderHash = message("envoy.config.route.v3.RouteAction.HashPolicy.Header", (m): HashSource => ({
  kind: "header",
  name: m.required("header_name", headerName),
  ...m.maybe("rewrite", "regex_rewrite", decodeRegexSubstitution),
}));
const decodeCookieAttribute = message("envoy.config.route.v3.RouteAction.HashPolicy.CookieAttribute", (m) => ({
  name: m.required("name", nonEmpty),
  value: m.field("value", text, ""),
}));
const decodeCookieHash = message("envoy.config.route.v3.RouteAction.HashPolicy.Cookie", (m): HashSource => ({
  kind: "cookie",
  name: m.required("name", nonEmpty),
  ...m.maybe("ttlMs", "ttl", duration),
  path: m.field("path", text, ""),
  attributes: m.field("attributes", list(decodeCookieAttribute), []),
}));
const decodeQueryHash = message("envoy.config.route.v3.RouteAction.HashPolicy.QueryParameter", (m): HashSource => ({
  kind: "queryParameter",
  name: m.required("name", nonEmpty),
}));
const decodeConnectionHash = message("envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties", (m): HashSource | undefined =>
  m.field("source_ip", bool, false) ? { kind: "sourceIp" } : undefined,
);

const decodeHashPolicy: Decoder<HashPolicy | undefined> = message("envoy.config.route.v3.RouteAction.HashPolicy", (m) => {
  const terminal = m.field("terminal", bool, false);
  const source = m.oneof<HashSource | undefined>({
    header: decodeHeaderHash,
    cookie: decodeCookieHash,
    connection_properties: decodeConnectionHash,
    query_parameter: decodeQueryHash,
    filter_state: (_json, at) => {
      // As in Envoy where nobody has left such an object: this policy gives no hash.
      at.warn("never applies: no filter here leaves filter state that can be hashed");
      return undefined;
    },
  });
  return source && { ...source, terminal };
});

/** A list of route.v3.RouteAction.HashPolicy; those that never yield a hash are left out. */
export const decodeHashPolicies: Decoder<readonly HashPolicy[]> = listOf(decodeHashPolicy);

const decodeConnectConfig: Decoder<ConnectConfig> = message("envoy.config.route.v3.RouteAction.UpgradeConfig.ConnectConfig", (m) => {
  m.refuse("a PROXY header in front of what CONNECT carries", "proxy_protocol_config");
  return { allowPost: m.field("allow_post", bool, false) };
});

const decodeUpgrade = message("envoy.config.route.v3.RouteAction.UpgradeConfig", (m) => {
  const type = m.required("upgrade_type", nonEmpty).toLowerCase();
  const connect = m.maybe("connect", "connect_config", decodeConnectConfig);
  if (connect.connect !== undefined && type !== "connect") m.at.error("only CONNECT may have it", "connect_config");
  return { type, enabled: m.field("enabled", bool, true), ...connect };
});

/** A route's upgrade_configs, by upgrade type in lower case. */
export const decodeUpgrades: Decoder<Pick<ForwardAction, "upgrades" | "connect">> = (json, at) => {
  const configs = list(decodeUpgrade)(json, at);
  const connect = configs.find((upgrade) => upgrade.enabled && upgrade.connect !== undefined)?.connect;
  return {
    upgrades: Object.fromEntries(configs.map((upgrade) => [upgrade.type, upgrade.enabled])),
    ...(connect && { connect }),
  };
};
