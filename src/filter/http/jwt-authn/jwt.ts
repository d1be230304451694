// JSON Web Tokens (RFC 7519) in compact form, taken apart and checked for shape. Signatures are jwks.ts's matter. Every failure
// is Envoy's own text, because it is the reply's body and part of its details.

/** A token that is well-formed; nothing of it is to be believed before its signature was verified. */
export interface Jwt {
  readonly alg: string;
  /** Empty when absent. */
  readonly kid: string;
  /** Empty when absent. */
  readonly issuer: string;
  readonly audiences: readonly string[];
  /** Seconds since the epoch; 0 when absent. */
  readonly notBefore: number;
  readonly expires: number;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly payloadBase64: string;
  /** What the signature is over. */
  readonly signed: string;
  readonly signature: Buffer;
}

/** Why a token does not pass, in Envoy's words. */
export type JwtFailure = string;

/** No token where one is required. */
export const missing = "Jwt is missing";
/** The token's issuer is none of those that may issue it. */
export const unknownIssuer = "Jwt issuer is not configured";
/** The one failure that is a 403 and not a 401. */
export const audienceNotAllowed = "Audiences in Jwt are not allowed";

const algorithms = new Set([
  "ES256",
  "ES384",
  "ES512",
  "HS256",
  "HS384",
  "HS512",
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "EdDSA",
]);

/** Parses a token. */
export function parseJwt(text: string): Jwt | JwtFailure {
  const parts = text.split(".");
  const [headerPart, payloadPart, signaturePart] = parts;
  if (parts.length !== 3 || !headerPart || !payloadPart || !signaturePart) return "Jwt is not in the form of Header.Payload.Signature";

  const headerBytes = decodeBase64Url(headerPart);
  if (headerBytes === undefined) return "Jwt header is an invalid Base64url encoded";
  const header = parseObject(headerBytes);
  if (header === undefined) return "Jwt header is an invalid JSON";
  const { alg, kid } = header;
  if (typeof alg !== "string") return "Jwt header [alg] field is not a string";
  if (!algorithms.has(alg)) return "Jwt header [alg] field value is invalid";
  if (kid !== undefined && typeof kid !== "string") return "Jwt header [kid] field is not a string";
  // RFC 7515 4.1.11: extensions that are critical and not understood make the token invalid.
  if (header["crit"] !== undefined) return "Jwt verification fails";

  const payloadBytes = decodeBase64Url(payloadPart);
  if (payloadBytes === undefined) return "Jwt payload is an invalid Base64url encoded";
  const claims = parseObject(payloadBytes);
  if (claims === undefined) return "Jwt payload is an invalid JSON";
  for (const name of ["iss", "sub", "jti"]) {
    if (claims[name] !== undefined && typeof claims[name] !== "string") return `Jwt payload [${name}] field is not a string`;
  }
  for (const name of ["iat", "nbf", "exp"]) {
    const failure = checkTime(name, claims[name]);
    if (failure !== undefined) return failure;
  }
  const audiences = stringList(claims["aud"]);
  if (audiences === undefined) return "Jwt payload [aud] field is not a string or string list";

  const signature = decodeBase64Url(signaturePart);
  if (signature === undefined) return "Jwt signature is an invalid Base64url encoded";
  return {
    alg,
    kid: kid ?? "",
    issuer: (claims["iss"] as string | undefined) ?? "",
    audiences,
    notBefore: (claims["nbf"] as number | undefined) ?? 0,
    expires: (claims["exp"] as number | undefined) ?? 0,
    claims,
    payloadBase64: payloadPart,
    signed: text.slice(0, headerPart.length + 1 + payloadPart.length),
    signature,
  };
}

/** Checks nbf and exp against the time, in seconds. */
export function checkTimes(jwt: Jwt, nowSeconds: number, skewSeconds: number, requireExpiration: boolean): JwtFailure | undefined {
  if (nowSeconds + skewSeconds < jwt.notBefore) return "Jwt not yet valid";
  if (jwt.expires === 0) return requireExpiration ? "Jwt is expired" : undefined;
  return nowSeconds > jwt.expires + skewSeconds ? "Jwt is expired" : undefined;
}

// Node's decoder skips what it does not know; a signature check must not.
const base64Url = /^[A-Za-z0-9_-]*={0,2}$/;

function decodeBase64Url(text: string): Buffer | undefined {
  if (!base64Url.test(text)) return undefined;
  const bare = text.replace(/=+$/, "");
  if (bare.length % 4 === 1 || (bare.length < text.length && text.length % 4 !== 0)) return undefined;
  const bytes = Buffer.from(bare, "base64url");
  // Bits that are left over have to be zero, or one token could be written in several ways.
  return bytes.toString("base64url") === bare ? bytes : undefined;
}

function parseObject(bytes: Buffer): Readonly<Record<string, unknown>> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch {
    return undefined;
  }
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Readonly<Record<string, unknown>>) : undefined;
}

function checkTime(name: string, value: unknown): JwtFailure | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== "number") return `Jwt payload [${name}] field is not an integer`;
  return value >= 0 && value < 2 ** 63 ? undefined : `Jwt payload [${name}] field is not a positive 64 bit integer`;
}

function stringList(value: unknown): readonly string[] | undefined {
  if (value === undefined) return [];
  if (typeof value === "string") return [value];
  return Array.isArray(value) && value.every((item) => typeof item === "string") ? value : undefined;
}
