// What is left of each certificate's life, as Prometheus reads it.
import type { X509Certificate } from "node:crypto";
import type { Resources } from "../envoy/bootstrap.ts";
import { listCertificates, nameOf } from "../identity/inventory.ts";

const family = "isthmus_certificate_expiry_seconds";

/** One gauge a certificate: seconds until it expires, negative when it has. No serial number, so that a renewal goes on in the same series. */
export function certificateMetrics(resources: Resources, nowMs: number): string {
  const lines = listCertificates(resources).flatMap(({ source, chain, authorities }) => [
    ...chain.map((certificate, i) => line(source, i === 0 ? "leaf" : "intermediate", i, certificate, nowMs)),
    ...authorities.map((certificate, i) => line(source, "root", i, certificate, nowMs)),
  ]);
  return lines.length === 0 ? "" : `# TYPE ${family} gauge\n${lines.join("\n")}\n`;
}

function line(source: string, kind: string, position: number, certificate: X509Certificate, nowMs: number): string {
  const seconds = Math.floor((certificate.validToDate.getTime() - nowMs) / 1000);
  const labels = { source, kind, position: String(position), identity: nameOf(certificate) };
  const text = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return `${family}{${text.join(",")}} ${seconds}`;
}

const escapeLabel = (value: string): string => value.replace(/[\\"\n]/g, (char) => (char === "\n" ? "\\n" : `\\${char}`));
