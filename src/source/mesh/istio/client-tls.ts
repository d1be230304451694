// ClientTLSSettings of a DestinationRule: how a client speaks TLS to a host, with which certificate, and whom it takes for the server.
import type { Fields } from "../object/fields.ts";

/** What a client does with TLS. */
export type ClientTlsMode = "DISABLE" | "SIMPLE" | "MUTUAL" | "ISTIO_MUTUAL";

const modes: readonly ClientTlsMode[] = ["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"];

/** ClientTLSSettings; empty text where a field is not given. */
export interface ClientTlsSettings {
  readonly mode: ClientTlsMode;
  /** Sent in place of what would be: the mesh's own name, or the request's host. */
  readonly sni: string;
  /** Names of which the server's certificate must have one; empty leaves it to the service's own. */
  readonly subjectAltNames: readonly string[];
  /** A Secret of the proxy's own namespace. */
  readonly credentialName: string;
  /** Files of the proxy's own machine. */
  readonly clientCertificate: string;
  readonly privateKey: string;
  /** A file, or `system` for the roots that the machine trusts, which is the default. */
  readonly caCertificates: string;
  /** A file with revocation lists. */
  readonly caCrl: string;
  /** The server's certificate is not looked at. */
  readonly insecureSkipVerify: boolean;
}

/** True when TLS is begun with certificates other than the mesh's. */
export function originatesTls({ mode }: ClientTlsSettings): boolean {
  return mode === "SIMPLE" || mode === "MUTUAL";
}

/** Reads `tls` of a traffic policy. What Istio's validation refuses is an error here too, and what has no effect a warning. */
export function readClientTls(fields: Fields | undefined): ClientTlsSettings | undefined {
  if (fields === undefined) return undefined;
  const text = (key: string): string => fields.string(key) ?? "";
  const tls: ClientTlsSettings = {
    // The API's first value: settings without a mode switch TLS off.
    mode: fields.oneOf("mode", modes) ?? "DISABLE",
    sni: text("sni"),
    subjectAltNames: fields.strings("subjectAltNames"),
    credentialName: text("credentialName"),
    clientCertificate: text("clientCertificate"),
    privateKey: text("privateKey"),
    caCertificates: text("caCertificates"),
    caCrl: text("caCrl"),
    insecureSkipVerify: fields.boolean("insecureSkipVerify") ?? false,
  };
  if (originatesTls(tls)) checkOriginated(fields, tls);
  else checkUnused(fields, tls);
  fields.finish();
  return tls;
}

const fileFields = ["clientCertificate", "privateKey", "caCertificates", "caCrl"];
const verifyFields = ["caCertificates", "credentialName", "subjectAltNames"];

function checkOriginated(fields: Fields, { mode, credentialName, insecureSkipVerify }: ClientTlsSettings): void {
  const given = (keys: readonly string[]): readonly string[] => keys.filter((key) => fields.has(key) && fields.raw(key) !== "");
  if (insecureSkipVerify) {
    // A client certificate may still come from a Secret.
    const against = mode === "SIMPLE" ? verifyFields : verifyFields.filter((key) => key !== "credentialName");
    for (const key of given(against)) fields.error(key, "is given beside insecureSkipVerify, which looks at no certificate");
    fields.warn("insecureSkipVerify", "takes any server for the right one: whoever is on the way can read and change what is sent");
  }
  if (credentialName !== "") {
    for (const key of given(fileFields)) fields.error(key, "is given beside credentialName, expected one of them");
    return;
  }
  if (mode === "SIMPLE") {
    for (const key of given(["clientCertificate", "privateKey"])) fields.warn(key, "has no effect in mode SIMPLE, expected MUTUAL");
    return;
  }
  for (const key of ["clientCertificate", "privateKey"])
    if (given([key]).length === 0) fields.error(key, "is missing, expected it in mode MUTUAL without credentialName");
}

function checkUnused(fields: Fields, { mode }: ClientTlsSettings): void {
  const unused = [...fileFields, "credentialName", "insecureSkipVerify"];
  const keys = mode === "DISABLE" ? [...unused, "sni", "subjectAltNames"] : unused;
  const why = mode === "DISABLE" ? "DISABLE" : "ISTIO_MUTUAL, which takes the workload's own certificate and roots";
  for (const key of keys) if (fields.has(key)) fields.warn(key, `has no effect in mode ${why}`);
}
