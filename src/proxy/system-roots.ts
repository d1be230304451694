// The authorities that this machine trusts, for TLS to servers of the world: the system's bundle, else those that Node brings along.
import { existsSync } from "node:fs";
import { rootCertificates } from "node:tls";
import type { Json } from "../source/mesh/envoy-json.ts";

// Where distributions keep one file of all roots; the first that is there is taken, as Go's programs (and so Istio's agent) do.
const bundles: readonly string[] = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/** A data source with the roots: a file, which `SSL_CERT_FILE` may name, or text. */
export function systemRoots(environment: Readonly<Record<string, string | undefined>> = process.env): Json {
  const named = environment["SSL_CERT_FILE"];
  if (named !== undefined && named !== "") return { filename: named };
  const bundle = bundles.find((path) => existsSync(path));
  return bundle === undefined ? { inline_string: rootCertificates.join("\n") } : { filename: bundle };
}
