// A certificate signing request (PKCS#10, RFC 2986) for a workload: no subject, the SPIFFE ID as critical alternative name.
import { createPublicKey, sign, type KeyObject } from "node:crypto";
import forge from "node-forge";
import { context, fromDer, objectId, oid, sequence, signatureAlgorithm, universal } from "./certificate.ts";

const { asn1 } = forge;
type Asn1 = forge.asn1.Asn1;

/** The attribute that carries extensions of the certificate to come (RFC 2985, section 5.4.2). */
const extensionRequest = "1.2.840.113549.1.9.14";

/** A request for `uri`, signed with the key it is for, as PEM. */
export function createSigningRequest(key: KeyObject, uri: string): string {
  const spki = fromDer(createPublicKey(key).export({ type: "spki", format: "der" }))!;
  const names = universal(asn1.Type.OCTETSTRING, toDer(sequence([context(6, uri)])).toString("latin1"));
  const extensions = sequence([sequence([objectId(oid.subjectAltName), universal(asn1.Type.BOOLEAN, "\xff"), names])]);
  const attribute = sequence([objectId(extensionRequest), set([extensions])]);
  const body = sequence([universal(asn1.Type.INTEGER, "\0"), sequence([]), spki, context(0, [attribute])]);
  const signature = sign("sha256", toDer(body), key);
  const bits = universal(asn1.Type.BITSTRING, `\0${signature.toString("latin1")}`);
  return toPem(toDer(sequence([body, signatureAlgorithm(key), bits])));
}

function set(parts: Asn1[]): Asn1 {
  return asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SET, true, parts);
}

function toDer(value: Asn1): Buffer {
  return Buffer.from(asn1.toDer(value).getBytes(), "latin1");
}

function toPem(der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE REQUEST-----", ...lines, "-----END CERTIFICATE REQUEST-----", ""].join("\n");
}
