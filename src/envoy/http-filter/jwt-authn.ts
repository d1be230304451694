// Envoy extensions.filters.http.jwt_authn.v3.JwtAuthentication, narrowed to keys given inline or by file.
import { decodeTextSource } from "../data-source.ts";
import { type Cursor, type Decoder, isObject } from "../decode/cursor.ts";
import { emptyMessage, message } from "../decode/message.ts";
import { bool, headerName, list, nonEmpty, onlyTrue, record, text, uint32 } from "../decode/scalars.ts";
import type { RouteMatch } from "../route/route.ts";
import { decodeRouteMatch } from "../route/route-match.ts";

/** Where a token may be; `valuePrefix` (e.g. `Bearer `) is cut off. */
export interface JwtHeader {
  readonly name: string;
  readonly valuePrefix: string;
}

/** JwtProvider. */
export interface JwtProvider {
  readonly name: string;
  /** Empty: any issuer. */
  readonly issuer: string;
  /** Empty: any audience. */
  readonly audiences: readonly string[];
  /** The JWK set as plain JSON. */
  readonly jwks: Readonly<Record<string, unknown>>;
  /** Empty together with params and cookies: `authorization: Bearer` and the query parameter `access_token`. */
  readonly fromHeaders: readonly JwtHeader[];
  readonly fromParams: readonly string[];
  readonly fromCookies: readonly string[];
  /** The token stays in the request. */
  readonly forward: boolean;
  /** Header to carry the payload upstream, base64url; empty = none. */
  readonly forwardPayloadHeader: string;
  readonly padForwardPayloadHeader: boolean;
  /** Default 60. */
  readonly clockSkewSeconds: number;
  readonly requireExpiration: boolean;
  /** The route is chosen again once a token is verified. */
  readonly clearRouteCache: boolean;
  /** Key of the filter's dynamic metadata that the claims of a verified token are put under; empty = none. */
  readonly payloadInMetadata: string;
  /** Claims whose text becomes a list there, split at spaces. */
  readonly spaceDelimitedClaims: readonly string[];
  readonly claimToHeaders: readonly { readonly headerName: string; readonly claimName: string }[];
}

/** JwtRequirement. */
export type JwtRequirement =
  /** `audiences` replaces the provider's when given. */
  | { readonly kind: "provider"; readonly name: string; readonly audiences?: readonly string[] }
  | { readonly kind: "any" | "all"; readonly requirements: readonly JwtRequirement[] }
  | { readonly kind: "allowMissing" | "allowMissingOrFailed" };

/** RequirementRule: the first whose match applies decides; none required = passes. */
export interface JwtRule {
  readonly match: RouteMatch;
  readonly requires?: JwtRequirement;
}

/** JwtAuthentication. */
export interface JwtAuthnConfig {
  readonly providers: readonly JwtProvider[];
  readonly rules: readonly JwtRule[];
  readonly requirementMap: Readonly<Record<string, JwtRequirement>>;
  readonly bypassCorsPreflight: boolean;
}

/** PerRouteConfig. */
export type JwtPerRoute = { readonly kind: "disabled" } | { readonly kind: "requirement"; readonly name: string };

const strict = { unhandled: "error" } as const;

const jwks: Decoder<Readonly<Record<string, unknown>>> = (json, at) => {
  const before = at.errors;
  const source = decodeTextSource(json, at);
  if (at.errors > before) return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(source);
  } catch {
    parsed = undefined;
  }
  if (isObject(parsed) && Array.isArray(parsed["keys"])) return parsed;
  at.error('expected a JWK set: JSON such as {"keys": [...]}');
  return {};
};

const decodeHeader: Decoder<JwtHeader> = message(
  "envoy.extensions.filters.http.jwt_authn.v3.JwtHeader",
  (m) => ({ name: m.required("name", headerName), valuePrefix: m.field("value_prefix", text, "") }),
  strict,
);

const decodeClaimToHeader = message(
  "envoy.extensions.filters.http.jwt_authn.v3.JwtClaimToHeader",
  (m) => ({ headerName: m.required("header_name", headerName), claimName: m.required("claim_name", nonEmpty) }),
  strict,
);

const decodeNormalizePayload = message(
  "envoy.extensions.filters.http.jwt_authn.v3.JwtProvider.NormalizePayload",
  (m) => m.field("space_delimited_claims", list(nonEmpty), []),
  strict,
);

const decodeProvider: Decoder<Omit<JwtProvider, "name">> = message(
  "envoy.extensions.filters.http.jwt_authn.v3.JwtProvider",
  (m) => {
    m.refuse("fetching keys; give local_jwks", "remote_jwks");
    m.ignore("header_in_metadata", "failed_status_in_metadata");
    m.accept("jwt_cache_config");
    return {
      issuer: m.field("issuer", text, ""),
      audiences: m.field("audiences", list(nonEmpty), []),
      jwks: m.required("local_jwks", jwks),
      fromHeaders: m.field("from_headers", list(decodeHeader), []),
      fromParams: m.field("from_params", list(nonEmpty), []),
      fromCookies: m.field("from_cookies", list(nonEmpty), []),
      forward: m.field("forward", bool, false),
      forwardPayloadHeader: m.field("forward_payload_header", headerName, ""),
      padForwardPayloadHeader: m.field("pad_forward_payload_header", bool, false),
      clockSkewSeconds: m.field("clock_skew_seconds", uint32, 60),
      requireExpiration: m.field("require_expiration", bool, false),
      clearRouteCache: m.field("clear_route_cache", bool, false),
      payloadInMetadata: m.field("payload_in_metadata", text, ""),
      spaceDelimitedClaims: m.field("normalize_payload_in_metadata", decodeNormalizePayload, []),
      claimToHeaders: m.field("claim_to_headers", list(decodeClaimToHeader), []),
    };
  },
  strict,
);

const decodeProviderWithAudiences = message(
  "envoy.extensions.filters.http.jwt_authn.v3.ProviderWithAudiences",
  (m): JwtRequirement => ({
    kind: "provider",
    name: m.required("provider_name", nonEmpty),
    audiences: m.field("audiences", list(nonEmpty), []),
  }),
  strict,
);

const requirementList = (type: string): Decoder<readonly JwtRequirement[]> =>
  message(type, (m) => m.required("requirements", list(decodeRequirement, { min: 2 })), strict);
const decodeOrList = requirementList("envoy.extensions.filters.http.jwt_authn.v3.JwtRequirementOrList");
const decodeAndList = requirementList("envoy.extensions.filters.http.jwt_authn.v3.JwtRequirementAndList");
const decodeNothing = emptyMessage([]);

const decodeRequirement: Decoder<JwtRequirement> = message(
  "envoy.extensions.filters.http.jwt_authn.v3.JwtRequirement",
  (m) =>
    m.requiredOneof<JwtRequirement>(
      {
        provider_name: (json, at) => ({ kind: "provider", name: nonEmpty(json, at) }),
        provider_and_audiences: decodeProviderWithAudiences,
        requires_any: (json, at) => ({ kind: "any", requirements: decodeOrList(json, at) }),
        requires_all: (json, at) => ({ kind: "all", requirements: decodeAndList(json, at) }),
        allow_missing: (json, at) => (decodeNothing(json, at), { kind: "allowMissing" }),
        allow_missing_or_failed: (json, at) => (decodeNothing(json, at), { kind: "allowMissingOrFailed" }),
      },
      { kind: "all", requirements: [] },
    ),
  strict,
);

interface RawRule {
  readonly match: RouteMatch;
  readonly requires?: JwtRequirement | { readonly kind: "named"; readonly name: string };
}

const decodeRule: Decoder<RawRule> = message(
  "envoy.extensions.filters.http.jwt_authn.v3.RequirementRule",
  (m) => {
    const match = m.required("match", decodeRouteMatch);
    const requires = m.oneof<NonNullable<RawRule["requires"]>>({
      requires: decodeRequirement,
      requirement_name: (json, at) => ({ kind: "named", name: nonEmpty(json, at) }),
    });
    return requires ? { match, requires } : { match };
  },
  strict,
);

// Reports providers that do not exist: a rule that asks for one could never be met.
function checkProviders(requirement: JwtRequirement, providers: ReadonlySet<string>, at: Cursor, ...below: (string | number)[]): void {
  if (requirement.kind === "provider" && requirement.name !== "" && !providers.has(requirement.name)) {
    at.error(`there is no provider named ${requirement.name}`, ...below);
  } else if ("requirements" in requirement) {
    for (const part of requirement.requirements) checkProviders(part, providers, at, ...below);
  }
}

/** JwtAuthentication. */
export const decodeJwtAuthn: Decoder<JwtAuthnConfig> = message(
  "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
  (m) => {
    m.refuse("requirements chosen by filter state", "filter_state_rules");
    m.refuse("shortened failure responses", "strip_failure_response");
    const providers = Object.entries(m.field("providers", record(decodeProvider), {})).map(([name, provider]) => ({ name, ...provider }));
    const names = new Set(providers.map((provider) => provider.name));
    const requirementMap: Readonly<Record<string, JwtRequirement>> = m.field("requirement_map", record(decodeRequirement), {});
    for (const [name, requirement] of Object.entries(requirementMap)) checkProviders(requirement, names, m.at, "requirement_map", name);
    const rules = m.field("rules", list(decodeRule), []).map((rule, index): JwtRule => {
      if (rule.requires === undefined) return { match: rule.match };
      if (rule.requires.kind !== "named") {
        checkProviders(rule.requires, names, m.at, "rules", index, "requires");
        return { match: rule.match, requires: rule.requires };
      }
      const named = Object.hasOwn(requirementMap, rule.requires.name) ? requirementMap[rule.requires.name] : undefined;
      if (named === undefined) m.at.error(`requirement_map has no ${rule.requires.name}`, "rules", index, "requirement_name");
      return named ? { match: rule.match, requires: named } : { match: rule.match };
    });
    return { providers, rules, requirementMap, bypassCorsPreflight: m.field("bypass_cors_preflight", bool, false) };
  },
  strict,
);

/** PerRouteConfig. */
export const decodeJwtPerRoute: Decoder<JwtPerRoute> = message(
  "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig",
  (m) =>
    m.requiredOneof<JwtPerRoute>(
      {
        disabled: (json, at) => (onlyTrue(json, at), { kind: "disabled" }),
        requirement_name: (json, at) => ({ kind: "requirement", name: nonEmpty(json, at) }),
      },
      { kind: "requirement", name: "" },
    ),
  strict,
);
