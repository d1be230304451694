// JWT requirements compiled: what a request must carry to pass. All local, so every answer is there at once.
import type { JwtProvider, JwtRequirement } from "../../../envoy/http-filter/jwt-authn.ts";
import type { HttpStream } from "../../../http/stream.ts";
import { setDynamicMetadata } from "../../../telemetry/stream-info.ts";
import type { KeySet } from "./jwks.ts";
import { readKeySet } from "./jwks.ts";
import type { Jwt, JwtFailure } from "./jwt.ts";
import { audienceNotAllowed, checkTimes, missing, parseJwt, unknownIssuer } from "./jwt.ts";
import type { FoundToken, TokenFinder } from "./token-location.ts";
import { compileTokenFinder } from "./token-location.ts";

/** Finds the keys of a provider. */
export type KeysOf = (model: JwtProvider) => KeySet;

/** What is looked at and changed of a request. */
export type TokenRequest = Pick<HttpStream, "headers" | "path" | "info" | "clearRouteCache">;

/** Verifies a request; undefined when it passes. */
export type Verifier = (stream: TokenRequest, nowSeconds: number) => JwtFailure | undefined;

/** A provider ready for use. */
export interface Provider {
  readonly model: JwtProvider;
  readonly keys: KeySet;
  readonly find: TokenFinder;
  readonly audiences: ReadonlySet<string>;
}

const ownKeys: KeysOf = ({ jwks }) => readKeySet(jwks);

/** Compiles providers, by name. */
export function compileProviders(models: readonly JwtProvider[], keysOf: KeysOf = ownKeys): ReadonlyMap<string, Provider> {
  return new Map(
    models.map((model) => [
      model.name,
      { model, keys: keysOf(model), find: compileTokenFinder(model), audiences: new Set(model.audiences.map(bareAudience)) },
    ]),
  );
}

/** Compiles a requirement. A provider that does not exist can never be satisfied. */
export function compileRequirement(model: JwtRequirement, providers: ReadonlyMap<string, Provider>): Verifier {
  switch (model.kind) {
    case "provider": {
      const provider = providers.get(model.name);
      if (provider === undefined) return () => unknownIssuer;
      const audiences =
        model.audiences === undefined || model.audiences.length === 0 ? provider.audiences : new Set(model.audiences.map(bareAudience));
      return (stream, now) => verifyProvider(provider, audiences, stream, now);
    }
    case "all": {
      const parts = model.requirements.map((part) => compileRequirement(part, providers));
      return (stream, now) => {
        for (const part of parts) {
          const failure = part(stream, now);
          if (failure !== undefined) return failure;
        }
        return undefined;
      };
    }
    case "any":
      return anyOf(model.requirements.map((part) => compileRequirement(part, providers)));
    case "allowMissing":
    case "allowMissingOrFailed": {
      const list = [...providers.values()];
      const lenient = model.kind === "allowMissingOrFailed";
      return (stream, now) => verifyWhatIsThere(list, lenient, stream, now);
    }
  }
}

// All tokens that a provider finds must be good: otherwise the upstream might believe the bad one.
function verifyProvider(provider: Provider, audiences: ReadonlySet<string>, stream: TokenRequest, now: number): JwtFailure | undefined {
  const tokens = provider.find(stream);
  if (tokens.length === 0) return missing;
  const good: Accepted[] = [];
  for (const found of tokens) {
    const jwt = parseJwt(found.token);
    if (typeof jwt === "string") return jwt;
    const failure = verifyJwt(jwt, provider, audiences, now);
    if (failure !== undefined) return failure;
    good.push({ found, jwt, model: provider.model });
  }
  for (const each of good) accept(each, stream);
  return undefined;
}

// Of several alternatives that all fail, the reply tells the most: a token that is there but bad, rather than one that lacks.
function anyOf(parts: readonly Verifier[]): Verifier {
  return (stream, now) => {
    let failure: JwtFailure = missing;
    for (const part of parts) {
      const failed = part(stream, now);
      if (failed === undefined) return undefined;
      if (failure === missing || failure === unknownIssuer) failure = failed;
    }
    return failure;
  };
}

// Tokens of any provider may be there; each is judged by the provider of its issuer.
function verifyWhatIsThere(providers: readonly Provider[], lenient: boolean, stream: TokenRequest, now: number): JwtFailure | undefined {
  const seen = new Set<string>();
  const good: Accepted[] = [];
  let failure: JwtFailure | undefined;
  for (const { find } of providers) {
    for (const found of find(stream)) {
      if (seen.has(found.token)) continue;
      seen.add(found.token);
      const jwt = parseJwt(found.token);
      const failed = typeof jwt === "string" ? jwt : verifyByIssuer(found, jwt, providers, now, good);
      failure ??= failed;
    }
  }
  if (failure !== undefined && !lenient) return failure;
  for (const each of good) accept(each, stream);
  return undefined;
}

function verifyByIssuer(
  found: FoundToken,
  jwt: Jwt,
  providers: readonly Provider[],
  now: number,
  good: Accepted[],
): JwtFailure | undefined {
  const provider = providers.find(({ model }) => model.issuer === jwt.issuer) ?? providers.find(({ model }) => model.issuer === "");
  if (provider === undefined) return unknownIssuer;
  const failure = verifyJwt(jwt, provider, provider.audiences, now);
  if (failure === undefined) good.push({ found, jwt, model: provider.model });
  return failure;
}

// The order of the checks is Envoy's, because it decides which failure is told.
function verifyJwt(jwt: Jwt, { model, keys }: Provider, audiences: ReadonlySet<string>, now: number): JwtFailure | undefined {
  if (model.issuer !== "" && model.issuer !== jwt.issuer) return unknownIssuer;
  const late = checkTimes(jwt, now, model.clockSkewSeconds, model.requireExpiration);
  if (late !== undefined) return late;
  if (audiences.size > 0 && !jwt.audiences.some((audience) => audiences.has(bareAudience(audience)))) return audienceNotAllowed;
  return keys.verify(jwt);
}

/** A good token. What follows from it waits until all tokens are: a bad one beside it must still be there for who looks next. */
interface Accepted {
  readonly found: FoundToken;
  readonly jwt: Jwt;
  readonly model: JwtProvider;
}

function accept({ found, jwt, model }: Accepted, stream: TokenRequest): void {
  const { headers, info } = stream;
  if (model.payloadInMetadata !== "")
    setDynamicMetadata(info, "envoy.filters.http.jwt_authn", { [model.payloadInMetadata]: normalized(jwt.claims, model) });
  if (model.forwardPayloadHeader !== "") {
    const bare = jwt.payloadBase64.replace(/=+$/, "");
    headers.add(
      model.forwardPayloadHeader,
      model.padForwardPayloadHeader ? bare.padEnd(Math.ceil(bare.length / 4) * 4, "=") : jwt.payloadBase64,
    );
  }
  for (const { headerName, claimName } of model.claimToHeaders) {
    const value = claimText(jwt.claims, claimName);
    if (value !== "") headers.add(headerName, value);
  }
  if (!model.forward) found.remove();
  if (model.clearRouteCache) stream.clearRouteCache();
}

// Rules ask for one item of a list, and scopes are written as one text.
function normalized(claims: Jwt["claims"], { spaceDelimitedClaims }: JwtProvider): Jwt["claims"] {
  const lists = spaceDelimitedClaims.flatMap((name) => {
    const value = Object.hasOwn(claims, name) ? claims[name] : undefined;
    return typeof value === "string" ? [[name, value.split(" ").filter((word) => word !== "")] as const] : [];
  });
  return lists.length === 0 ? claims : { ...claims, ...Object.fromEntries(lists) };
}

// Nested claims are named with dots. Header values are bytes, and must not bring line ends with them.
function claimText(claims: Readonly<Record<string, unknown>>, name: string): string {
  let value: unknown = claims;
  for (const part of name.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return "";
    value = (value as Readonly<Record<string, unknown>>)[part];
  }
  if (typeof value !== "string" && typeof value !== "number" && typeof value !== "boolean") return "";
  // oxlint-disable-next-line no-control-regex
  return Buffer.from(String(value).replace(/[\x00-\x1f\x7f]/g, ""), "utf8").toString("latin1");
}

// Google's rule, which Envoy keeps: scheme and closing slash do not tell audiences apart.
function bareAudience(audience: string): string {
  return audience.replace(/^https?:\/\//, "").replace(/\/$/, "");
}
