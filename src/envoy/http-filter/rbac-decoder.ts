// Decoders of the RBAC filters. Every field that is not honoured is an error.
import { decodeCidrRange } from "../address.ts";
import type { Decoder } from "../decode/cursor.ts";
import { type Fields, message } from "../decode/message.ts";
import { enumeration, list, nonEmpty, onlyTrue, port, record, text } from "../decode/scalars.ts";
import { decodePortRange } from "../listener/listener-filter-predicate.ts";
import { decodeMetadataMatcher } from "../metadata-matcher.ts";
import type { HttpRbacConfig, HttpRbacPerRoute, NetworkRbacConfig, RbacPermission, RbacPrincipal, RbacRules } from "./rbac.ts";
import { decodeHeaderMatcher, decodeStringMatcher, decodeUriTemplate, decodeUrlPathMatcher } from "../string-matcher.ts";

const strict = { unhandled: "error" } as const;

const decodePermissions = message(
  "envoy.config.rbac.v3.Permission.Set",
  (m): readonly RbacPermission[] => m.required("rules", list(decodePermission, { min: 1 })),
  strict,
);

const permissionKinds: Readonly<Record<string, Decoder<RbacPermission>>> = {
  any: (json, at) => (onlyTrue(json, at), { kind: "any" }),
  and_rules: (json, at) => ({ kind: "and", rules: decodePermissions(json, at) }),
  or_rules: (json, at) => ({ kind: "or", rules: decodePermissions(json, at) }),
  not_rule: (json, at) => ({ kind: "not", rule: decodePermission(json, at) }),
  header: (json, at) => ({ kind: "header", header: decodeHeaderMatcher(json, at) }),
  url_path: (json, at) => ({ kind: "urlPath", matcher: decodeUrlPathMatcher(json, at) }),
  uri_template: (json, at) => ({ kind: "uriTemplate", template: decodeUriTemplate(json, at) }),
  destination_ip: (json, at) => ({ kind: "destinationIp", range: decodeCidrRange(json, at) }),
  destination_port: (json, at) => ({ kind: "destinationPort", port: port(json, at) }),
  destination_port_range: (json, at) => ({ kind: "destinationPortRange", ...decodePortRange(json, at) }),
  requested_server_name: (json, at) => ({ kind: "requestedServerName", matcher: decodeStringMatcher(json, at) }),
  metadata: (json, at) => ({ kind: "metadata", matcher: decodeMetadataMatcher(json, at) }),
};

const decodePermission: Decoder<RbacPermission> = message(
  "envoy.config.rbac.v3.Permission",
  (m) => {
    m.refuse("permissions over metadata of routes", "sourced_metadata");
    m.refuse("matcher extensions", "matcher");
    return m.requiredOneof(permissionKinds, { kind: "any" });
  },
  strict,
);

const decodePrincipals = message(
  "envoy.config.rbac.v3.Principal.Set",
  (m): readonly RbacPrincipal[] => m.required("ids", list(decodePrincipal, { min: 1 })),
  strict,
);

const decodeAuthenticated = message(
  "envoy.config.rbac.v3.Principal.Authenticated",
  (m): RbacPrincipal => ({ kind: "authenticated", ...m.maybe("principalName", "principal_name", decodeStringMatcher) }),
  strict,
);

const address =
  (which: "source" | "direct" | "remote"): Decoder<RbacPrincipal> =>
  (json, at) => ({ kind: "ip", which, range: decodeCidrRange(json, at) });

const principalKinds: Readonly<Record<string, Decoder<RbacPrincipal>>> = {
  any: (json, at) => (onlyTrue(json, at), { kind: "any" }),
  and_ids: (json, at) => ({ kind: "and", ids: decodePrincipals(json, at) }),
  or_ids: (json, at) => ({ kind: "or", ids: decodePrincipals(json, at) }),
  not_id: (json, at) => ({ kind: "not", id: decodePrincipal(json, at) }),
  authenticated: decodeAuthenticated,
  source_ip: address("source"),
  direct_remote_ip: address("direct"),
  remote_ip: address("remote"),
  header: (json, at) => ({ kind: "header", header: decodeHeaderMatcher(json, at) }),
  url_path: (json, at) => ({ kind: "urlPath", matcher: decodeUrlPathMatcher(json, at) }),
  metadata: (json, at) => ({ kind: "metadata", matcher: decodeMetadataMatcher(json, at) }),
};

const decodePrincipal: Decoder<RbacPrincipal> = message(
  "envoy.config.rbac.v3.Principal",
  (m) => {
    m.refuse("principals over metadata of routes", "sourced_metadata");
    m.refuse("principals over filter state", "filter_state");
    return m.requiredOneof(principalKinds, { kind: "any" });
  },
  strict,
);

const decodePolicy = message(
  "envoy.config.rbac.v3.Policy",
  (m) => {
    m.refuse("CEL conditions", "condition", "checked_condition");
    return {
      permissions: m.required("permissions", list(decodePermission, { min: 1 })),
      principals: m.required("principals", list(decodePrincipal, { min: 1 })),
    };
  },
  strict,
);

const action = enumeration({ ALLOW: 0, DENY: 1, LOG: 2 });

/** config.rbac.v3.RBAC. */
export const decodeRbacRules: Decoder<RbacRules> = message(
  "envoy.config.rbac.v3.RBAC",
  (m) => {
    m.ignore("audit_logging_options");
    const policies = Object.entries(m.field("policies", record(decodePolicy), {})).map(([name, policy]) => ({ name, ...policy }));
    // Envoy keeps policies in a map ordered by name, and the first that matches is the one named in the log.
    policies.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
    return { action: m.field("action", action, "ALLOW"), policies };
  },
  strict,
);

function decodeShadow(m: Fields): Pick<HttpRbacConfig, "shadowRules" | "shadowRulesStatPrefix"> {
  return {
    ...m.maybe("shadowRules", "shadow_rules", decodeRbacRules),
    shadowRulesStatPrefix: m.field("shadow_rules_stat_prefix", text, ""),
  };
}

/** extensions.filters.http.rbac.v3.RBAC. */
export const decodeHttpRbac: Decoder<HttpRbacConfig> = message(
  "envoy.extensions.filters.http.rbac.v3.RBAC",
  (m) => {
    m.refuse("matcher trees; give rules", "matcher");
    m.ignore("shadow_matcher", "track_per_rule_stats");
    return {
      ...m.maybe("rules", "rules", decodeRbacRules),
      rulesStatPrefix: m.field("rules_stat_prefix", text, ""),
      ...decodeShadow(m),
    };
  },
  strict,
);

/** extensions.filters.http.rbac.v3.RBACPerRoute. */
export const decodeHttpRbacPerRoute: Decoder<HttpRbacPerRoute> = message(
  "envoy.extensions.filters.http.rbac.v3.RBACPerRoute",
  (m) => m.maybe("rbac", "rbac", decodeHttpRbac),
  strict,
);

const enforcement = enumeration({ ONE_TIME_ON_FIRST_BYTE: 0, CONTINUOUS: 1 });

/** extensions.filters.network.rbac.v3.RBAC. */
export const decodeNetworkRbac: Decoder<NetworkRbacConfig> = message(
  "envoy.extensions.filters.network.rbac.v3.RBAC",
  (m) => {
    m.refuse("matcher trees; give rules", "matcher");
    m.ignore("shadow_matcher");
    m.refuse("delaying denials", "delay_deny");
    return {
      ...m.maybe("rules", "rules", decodeRbacRules),
      statPrefix: m.required("stat_prefix", nonEmpty),
      ...decodeShadow(m),
      enforcement: m.field("enforcement_type", enforcement, "ONE_TIME_ON_FIRST_BYTE"),
    };
  },
  strict,
);
