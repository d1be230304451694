// The filter that a proxy's RequestAuthentications come to: a token, where there is one, has to be good.
import { extension, type Json } from "../envoy-json.ts";
import type { JwtRule, RequestAuthenticationSpec } from "../istio/request-authentication.ts";
import { isForProxy, type PolicySubject } from "../istio/policy-target.ts";
import type { MeshView } from "../mesh-view.ts";
import type { MeshObject } from "../object/mesh-object.ts";
import { compareText } from "../registry/service.ts";
import { jwksKey } from "./jwks-source.ts";

/** A policy as it was written. */
export type RequestAuthentication = MeshObject<RequestAuthenticationSpec>;

/** The policies of one proxy: its own namespace's first, then those of the root namespace. */
function requestAuthenticationsOf(mesh: MeshView, subject: PolicySubject): readonly RequestAuthentication[] {
  return [...new Set([subject.namespace, mesh.config.rootNamespace])].flatMap((namespace) =>
    mesh.requestAuthentications.filter(({ meta, spec }) => meta.namespace === namespace && isForProxy(spec.target, namespace, subject)),
  );
}

/** One rule of a RequestAuthentication. */
export interface OwnedJwtRule {
  readonly policy: RequestAuthentication;
  /** In `jwtRules`. */
  readonly index: number;
  readonly rule: JwtRule;
  /** What the filter calls it. */
  readonly provider: string;
}

/** The rules of one proxy in the order of its filter. */
export function jwtRulesOf(mesh: MeshView, subject: PolicySubject): readonly OwnedJwtRule[] {
  // Node sorts stably, so rules of one issuer stay in order.
  return requestAuthenticationsOf(mesh, subject)
    .flatMap((policy) => policy.spec.rules.map((rule, index) => ({ policy, index, rule })))
    .toSorted((a, b) => compareText(a.rule.issuer, b.rule.issuer))
    .map((owned, index) => ({ ...owned, provider: `origins-${index}` }));
}

// No key: tokens are refused until the keys have been fetched. Istio puts a well-known key here, which anybody could sign with.
const noKeys = '{"keys":[]}';

/** The filter, or none. A gateway matches the route again, because routes may ask about claims. */
export function jwtFilter(mesh: MeshView, subject: PolicySubject, router: boolean): readonly Json[] {
  const rules = jwtRulesOf(mesh, subject);
  if (rules.length === 0) return [];
  const names = rules.map((each) => each.provider);
  const providers = rules.map((each) => [each.provider, provider(mesh, each.rule, router)] as const);
  return [
    extension("envoy.filters.http.jwt_authn", "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication", {
      providers: Object.fromEntries(providers),
      rules: [{ match: { prefix: "/" }, requires: requirement(names) }],
      bypass_cors_preflight: true,
    }),
  ];
}

/**
 * One provider: its token or none. Several: the token of one of them, or of each its own or none. The first alternatives are for
 * providers that look for tokens in one place, where all but one must fail.
 */
function requirement(names: readonly string[]): Json {
  const each = names.map((name): Json => ({ requires_any: { requirements: [{ provider_name: name }, { allow_missing: {} }] } }));
  const [only] = each;
  if (each.length === 1 && only !== undefined) return only;
  return {
    requires_any: { requirements: [...names.map((name) => ({ provider_name: name })), { requires_all: { requirements: each } }] },
  };
}

function provider({ jwks }: MeshView, rule: JwtRule, router: boolean): Json {
  const keys = rule.jwks === "" ? (jwks.get(jwksKey(rule)) ?? noKeys) : rule.jwks;
  const spaced = [...new Set([...rule.spaceDelimitedClaims, "permission", "scope"])].toSorted(compareText);
  return {
    ...(rule.issuer === "" ? {} : { issuer: rule.issuer }),
    ...(rule.audiences.length === 0 ? {} : { audiences: rule.audiences }),
    ...(rule.forwardOriginalToken ? { forward: true } : {}),
    ...(rule.outputPayloadToHeader === "" ? {} : { forward_payload_header: rule.outputPayloadToHeader }),
    local_jwks: { inline_string: keys },
    ...(rule.fromHeaders.length === 0 ? {} : { from_headers: rule.fromHeaders.map(header) }),
    ...(rule.fromParams.length === 0 ? {} : { from_params: rule.fromParams }),
    ...(rule.fromCookies.length === 0 ? {} : { from_cookies: rule.fromCookies }),
    ...(rule.outputClaimToHeaders.length === 0
      ? {}
      : { claim_to_headers: rule.outputClaimToHeaders.map((output) => ({ header_name: output.header, claim_name: output.claim })) }),
    payload_in_metadata: "payload",
    normalize_payload_in_metadata: { space_delimited_claims: spaced },
    ...(router ? { clear_route_cache: true } : {}),
  };
}

const header = ({ name, prefix }: JwtRule["fromHeaders"][number]): Json => ({ name, ...(prefix === "" ? {} : { value_prefix: prefix }) });
