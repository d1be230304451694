// JSON Web Key sets (RFC 7517) and the signatures made with them (RFC 7518, RFC 8037), on node:crypto. The key decides which
// family of algorithms a token may use, never the token: that is what keeps a public RSA key from being used as an HMAC secret.
import { constants, createHmac, createPublicKey, type JsonWebKey, type KeyObject, timingSafeEqual, verify } from "node:crypto";
import type { Jwt, JwtFailure } from "./jwt.ts";

/** A set of usable keys. */
export interface KeySet {
  /** Undefined when one of the keys made the token's signature. */
  verify(jwt: Jwt): JwtFailure | undefined;
}

/** Reads a key set; keys of other kinds and for other uses are left out. */
export function readKeySet(jwks: Readonly<Record<string, unknown>>): KeySet {
  const list = Array.isArray(jwks["keys"]) ? (jwks["keys"] as readonly unknown[]) : [];
  const keys = list.flatMap((jwk) => readKey(jwk) ?? []);
  return {
    verify: (jwt) => {
      if (keys.length === 0) return "Jwks doesn't have any valid public key";
      let candidate = false;
      for (const key of keys) {
        if (jwt.kid !== "" && key.kid !== "" && key.kid !== jwt.kid) continue;
        if (key.alg !== "" && key.alg !== jwt.alg) continue;
        candidate = true;
        if (key.family.includes(jwt.alg.slice(0, 2)) && isSignedBy(key, jwt)) return undefined;
      }
      return candidate ? "Jwt verification fails" : "Jwks doesn't have key to match kid or alg from Jwt";
    },
  };
}

interface Key {
  readonly kid: string;
  /** Empty: any of the family. */
  readonly alg: string;
  /** First two letters of the algorithms this key can be used for. */
  readonly family: readonly string[];
  readonly material: KeyObject | Buffer;
}

// The curve fixes the algorithm (RFC 7518 3.4).
const curves: Readonly<Record<string, string>> = { "P-256": "ES256", "P-384": "ES384", "P-521": "ES512" };
const families: Readonly<Record<string, readonly string[]>> = { RSA: ["RS", "PS"], EC: ["ES"], oct: ["HS"], OKP: ["Ed"] };

function readKey(json: unknown): Key | undefined {
  if (typeof json !== "object" || json === null) return undefined;
  const jwk = json as Readonly<Record<string, unknown>>;
  const text = (name: string): string => (typeof jwk[name] === "string" ? jwk[name] : "");
  const kty = text("kty");
  const family = Object.hasOwn(families, kty) ? families[kty] : undefined;
  if (family === undefined || text("use") === "enc") return undefined;
  const declared = text("alg");
  const alg = declared === "" && kty === "EC" ? (curves[text("crv")] ?? "") : declared;
  if (alg !== "" && !family.includes(alg.slice(0, 2))) return undefined;
  if (kty === "oct") {
    const secret = Buffer.from(text("k"), "base64url");
    return secret.length === 0 ? undefined : { kid: text("kid"), alg, family, material: secret };
  }
  // The curve of an EC key must be its algorithm's own.
  if (kty === "EC" && curves[text("crv")] !== alg) return undefined;
  if (kty === "OKP" && text("crv") !== "Ed25519") return undefined;
  try {
    return { kid: text("kid"), alg, family, material: createPublicKey({ key: jwk as JsonWebKey, format: "jwk" }) };
  } catch {
    // Not a key that node:crypto can use: tokens signed with it fail, which is all that can be said.
    return undefined;
  }
}

function isSignedBy({ material }: Key, { alg, signed, signature }: Jwt): boolean {
  const digest = `sha${alg.slice(2)}`;
  if (Buffer.isBuffer(material)) {
    const expected = createHmac(digest, material).update(signed, "latin1").digest();
    return expected.length === signature.length && timingSafeEqual(expected, signature);
  }
  const data = Buffer.from(signed, "latin1");
  switch (alg.slice(0, 2)) {
    case "RS":
      return verify(digest, data, material, signature);
    case "PS":
      return verify(
        digest,
        data,
        { key: material, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST },
        signature,
      );
    case "ES":
      return verify(digest, data, { key: material, dsaEncoding: "ieee-p1363" }, signature);
    default:
      return verify(null, data, material, signature);
  }
}
