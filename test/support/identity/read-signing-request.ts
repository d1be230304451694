// The authority's side of a certificate signing request (PKCS#10, RFC 2986).
import { createPublicKey, type KeyObject, verify } from "node:crypto";
import forge from "node-forge";
import { children, fromDer, octets } from "../../../src/identity/ca/certificate.ts";

/** The public key of a request whose signature by that key holds; undefined otherwise. */
export function readSigningRequest(pem: string): KeyObject | undefined {
  const [, base64 = ""] = /-----BEGIN CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]+)-----END/.exec(pem) ?? [];
  const [body, , bits] = children(fromDer(Buffer.from(base64, "base64")));
  const spki = children(body)[2];
  if (!body || !spki || !bits) return undefined;
  const key = createPublicKey({ key: toDer(spki), type: "spki", format: "der" });
  return verify("sha256", toDer(body), key, octets(bits).subarray(1)) ? key : undefined;
}

function toDer(value: forge.asn1.Asn1): Buffer {
  return Buffer.from(forge.asn1.toDer(value).getBytes(), "latin1");
}
