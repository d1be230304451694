// security.istio.io RequestAuthentication: which tokens a workload takes, and where from.
import { readDuration } from "../object/duration.ts";
import { type Fields, isMapping } from "../object/fields.ts";
import { type PolicyTarget, readPolicyTarget } from "./policy-target.ts";

/** `jwtRules[]`. */
export interface JwtRule {
  /** Empty: any, and then `jwksUri` is given. */
  readonly issuer: string;
  readonly audiences: readonly string[];
  /** The key set itself; empty when it is to be fetched. */
  readonly jwks: string;
  /** Empty: found by OpenID discovery at the issuer. */
  readonly jwksUri: string;
  readonly fromHeaders: readonly { readonly name: string; readonly prefix: string }[];
  readonly fromParams: readonly string[];
  readonly fromCookies: readonly string[];
  readonly outputPayloadToHeader: string;
  readonly outputClaimToHeaders: readonly { readonly header: string; readonly claim: string }[];
  readonly forwardOriginalToken: boolean;
  readonly spaceDelimitedClaims: readonly string[];
  /** For fetching keys; proto3 JSON duration, default 5 s. */
  readonly timeout: string;
}

/** RequestAuthentication.spec. */
export interface RequestAuthenticationSpec {
  readonly target: PolicyTarget;
  readonly rules: readonly JwtRule[];
}

/** Reads a RequestAuthentication. */
export function readRequestAuthentication(root: Fields): RequestAuthenticationSpec {
  const spec = root.child("spec");
  if (spec === undefined) return { target: { selector: {}, refs: [] }, rules: [] };
  const policy = { target: readPolicyTarget(spec), rules: spec.list("jwtRules", readJwtRule) };
  spec.finish();
  return policy;
}

function readJwtRule(item: Fields): JwtRule {
  const rule: JwtRule = {
    issuer: item.string("issuer") ?? "",
    audiences: named(item, "audiences"),
    // Both spellings are the field's, as in any proto3 JSON; jwks_uri is how Istio's own examples began.
    jwks: item.string("jwks") ?? "",
    jwksUri: item.string("jwksUri") ?? item.string("jwks_uri") ?? "",
    fromHeaders: item.list("fromHeaders", readLocation),
    fromParams: named(item, "fromParams"),
    fromCookies: named(item, "fromCookies"),
    outputPayloadToHeader: item.string("outputPayloadToHeader") ?? "",
    outputClaimToHeaders: item.list("outputClaimToHeaders", readClaimHeader),
    forwardOriginalToken: item.boolean("forwardOriginalToken") ?? false,
    spaceDelimitedClaims: item.strings("spaceDelimitedClaims"),
    timeout: readDuration(item, "timeout") ?? "5s",
  };
  if (rule.issuer === "" && rule.jwksUri === "") item.error("issuer", "is missing, expected an issuer or a jwksUri");
  if (rule.jwksUri !== "" && !isWebAddress(rule.jwksUri)) item.error("jwksUri", `is "${rule.jwksUri}", expected an http or https URL`);
  if (rule.jwks !== "" && !isKeySet(rule.jwks)) item.error("jwks", 'is no key set, expected JSON such as {"keys": [...]}');
  item.finish();
  return rule;
}

function readLocation(item: Fields): JwtRule["fromHeaders"][number] {
  const location = { name: item.requiredString("name"), prefix: item.string("prefix") ?? "" };
  item.finish();
  return location;
}

function readClaimHeader(item: Fields): JwtRule["outputClaimToHeaders"][number] {
  const output = { header: item.requiredString("header"), claim: item.requiredString("claim") };
  if (output.header !== "" && !/^[A-Za-z0-9_-]+$/.test(output.header))
    item.error("header", `is "${output.header}", expected letters, digits, - and _`);
  item.finish();
  return output;
}

function named(item: Fields, key: string): readonly string[] {
  const values = item.strings(key);
  if (values.includes("")) item.error(key, "has an empty value, expected none");
  return values;
}

function isWebAddress(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
}

/** A key set, or a single key, which Istio's parser takes as well. */
function isKeySet(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return isMapping(value) && (Array.isArray(value["keys"]) || typeof value["kty"] === "string");
  } catch {
    return false;
  }
}
