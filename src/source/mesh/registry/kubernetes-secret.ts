// Kubernetes Secrets as gateways use them: certificates with keys, authorities. No value of a Secret is ever part of a message.
import type { Fields } from "../object/fields.ts";
import { isMapping } from "../object/fields.ts";

/** A certificate in a Secret. */
export interface SecretCertificate {
  readonly chain: string;
  readonly privateKey: string;
  /** `tls.ocsp-staple`: a DER response in base64. */
  readonly staple: string | undefined;
}

/** v1 Secret, as far as TLS is concerned. PEM text; undefined where the Secret has no such key. */
export interface KubernetesSecret {
  /** `cert` and `key`, or `tls.crt` and `tls.key`. */
  readonly certificate: SecretCertificate | undefined;
  /** `cacert` or `ca.crt`. */
  readonly authorities: string | undefined;
  /** `crl` or `ca.crl`. */
  readonly revocations: string | undefined;
}

/** Reads a Secret; keys that have nothing to do with TLS are not looked at. */
export function readSecret(root: Fields): KubernetesSecret {
  const value = secretReader(root);
  const pairs = [
    [value("cert"), value("key")],
    [value("tls.crt"), value("tls.key")],
  ] as const;
  const [chain, privateKey] = pairs.find((pair) => pair.every((part) => part !== undefined)) ?? [];
  return {
    certificate:
      chain === undefined || privateKey === undefined ? undefined : { chain, privateKey, staple: value("tls.ocsp-staple", "base64") },
    authorities: value("cacert") ?? value("ca.crt"),
    revocations: value("crl") ?? value("ca.crl"),
  };
}

/** Reads single values: `stringData` as it stands, which Kubernetes puts over `data`, the latter in base64. */
function secretReader(root: Fields): (key: string, as?: "utf8" | "base64") => string | undefined {
  const maps = { stringData: root.raw("stringData"), data: root.raw("data") };
  for (const [name, map] of Object.entries(maps)) {
    if (map !== undefined && !isMapping(map)) root.error(name, "is no mapping");
  }
  const textOf = (name: keyof typeof maps, key: string): string | undefined => {
    const map = maps[name];
    const value = isMapping(map) ? (map[key] ?? undefined) : undefined;
    if (value === undefined || typeof value === "string") return value === "" ? undefined : value;
    root.error(name, `has a ${key} that is no string`);
    return undefined;
  };
  return (key, as = "utf8") => {
    const plain = textOf("stringData", key);
    if (plain !== undefined) return as === "utf8" ? plain : Buffer.from(plain).toString(as);
    const encoded = textOf("data", key)?.replaceAll(/\s/g, "");
    if (encoded === undefined) return undefined;
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(encoded) || encoded.length % 4 !== 0) {
      root.error("data", `has a ${key} that is no base64`);
      return undefined;
    }
    return Buffer.from(encoded, "base64").toString(as);
  };
}
