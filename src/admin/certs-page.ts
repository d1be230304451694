// `/certs`: every certificate in use, with what is left of its life. Keys are not read.
import type { X509Certificate } from "node:crypto";
import type { Resources } from "../envoy/bootstrap.ts";
import { listCertificates } from "../identity/inventory.ts";

const dayMs = 86_400_000;

/** Envoy's admin.v3.Certificates. */
export function certsJson(resources: Resources, nowMs: number): unknown {
  return {
    certificates: listCertificates(resources).map(({ source, chain, authorities }) => ({
      ca_cert: authorities.map((certificate) => details(source, certificate, nowMs)),
      cert_chain: chain.map((certificate) => details(source, certificate, nowMs)),
    })),
  };
}

function details(path: string, certificate: X509Certificate, nowMs: number): unknown {
  const expires = certificate.validToDate.getTime();
  return {
    path,
    serial_number: certificate.serialNumber.toLowerCase(),
    subject_alt_names: alternativeNames(certificate.subjectAltName),
    days_until_expiration: String(Math.max(0, Math.floor((expires - nowMs) / dayMs))),
    valid_from: certificate.validFromDate.toISOString(),
    expiration_time: certificate.validToDate.toISOString(),
  };
}

// Node gives `DNS:a, URI:spiffe://b`; names of other kinds are left out as in Envoy.
function alternativeNames(text: string | undefined): unknown[] {
  return (text ?? "").split(", ").flatMap((entry): unknown[] => {
    if (entry.startsWith("DNS:")) return [{ dns: entry.slice(4) }];
    if (entry.startsWith("URI:")) return [{ uri: entry.slice(4) }];
    return entry.startsWith("IP Address:") ? [{ ip_address: entry.slice(11) }] : [];
  });
}
