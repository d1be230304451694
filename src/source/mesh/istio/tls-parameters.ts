// Which protocol versions, cipher suites and curves: what MeshConfig says for its own mTLS and for TLS everywhere else.
import type { Fields } from "../object/fields.ts";

/** `meshMTLS` or `tlsDefaults` of MeshConfig. */
export interface MeshTlsParameters {
  /** Undefined leaves it to the default of each use. */
  readonly minVersion: "TLSV1_2" | "TLSV1_3" | undefined;
  /** OpenSSL's names, for TLS 1.2; empty leaves the default. */
  readonly cipherSuites: readonly string[];
  /** For TLS outside the mesh alone; empty leaves Envoy's default. */
  readonly ecdhCurves: readonly string[];
}

/** Nothing said. */
export const noTlsParameters: MeshTlsParameters = { minVersion: undefined, cipherSuites: [], ecdhCurves: [] };

// What Istio passes on; any other is left out with a warning, so that a misspelt suite never weakens the rest.
const knownSuites: ReadonlySet<string> = new Set([
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
  "ECDHE-ECDSA-AES128-SHA",
  "ECDHE-RSA-AES128-SHA",
  "ECDHE-ECDSA-AES256-SHA",
  "ECDHE-RSA-AES256-SHA",
  "AES128-GCM-SHA256",
  "AES256-GCM-SHA384",
  "AES128-SHA",
  "AES256-SHA",
  "DES-CBC3-SHA",
]);

/** Reads `cipherSuites`, each once, without those nobody knows. */
export function readCipherSuites(fields: Fields): readonly string[] {
  const given = fields.strings("cipherSuites");
  const unknown = given.filter((suite) => !knownSuites.has(suite));
  if (unknown.length > 0) fields.warn("cipherSuites", `names unknown suites, which are left out: ${unknown.join(", ")}`);
  const known = [...new Set(given)].filter((suite) => knownSuites.has(suite));
  // Nothing left would mean the default, which is more than was asked for.
  if (given.length > 0 && known.length === 0) fields.error("cipherSuites", "names no known suite");
  return known;
}

/** Reads `meshMTLS` or `tlsDefaults`. */
export function readTlsParameters(root: Fields, key: "meshMTLS" | "tlsDefaults"): MeshTlsParameters {
  const fields = root.child(key);
  if (fields === undefined) return noTlsParameters;
  const minVersion = fields.oneOf("minProtocolVersion", ["TLS_AUTO", "TLSV1_2", "TLSV1_3"]);
  const ecdhCurves = fields.strings("ecdhCurves");
  if (key === "meshMTLS" && ecdhCurves.length > 0) fields.error("ecdhCurves", "is given for mTLS of the mesh, which takes no curves");
  const parameters = { minVersion: minVersion === "TLS_AUTO" ? undefined : minVersion, cipherSuites: readCipherSuites(fields), ecdhCurves };
  fields.finish();
  return parameters;
}
