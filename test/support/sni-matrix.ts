// What a client can put into a ClientHello towards an east-west gateway: every form of server name with every set of protocols.
import { once } from "node:events";
import { connect } from "node:net";
import type { TestContext } from "node:test";
import { connect as tlsConnect } from "node:tls";
import type { SniRefusal } from "../../src/filter/sni-refusal.ts";

/** Every protocol of mesh mTLS. */
export const meshAlpn: readonly string[] = ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

/** A form of server name. */
export interface ServerNameForm {
  readonly form: string;
  readonly sent: string | undefined;
  /** The name in an access log: in lower case, and without what could break a line of it. */
  readonly logged: string | null;
  /** Why a gateway refuses it, whatever the protocols; undefined for a name that it forwards. */
  readonly why?: SniRefusal;
}

/** The forms, for a port of a service in Kubernetes. */
export function serverNameForms(host: string, port: number): readonly ServerNameForm[] {
  const name = `outbound_.${port}_._.${host}`;
  const wrongPort = `outbound_.${port + 1}_._.${host}`;
  const wrongHost = `outbound_.${port}_._.other.${host.slice(host.indexOf(".") + 1)}`;
  return [
    { form: "the name of a service", sent: name, logged: name },
    { form: "the name in upper case", sent: name.toUpperCase(), logged: name },
    { form: "the cluster's name", sent: `outbound|${port}||${host}`, logged: `invalid:outbound_${port}__${host}`, why: "malformed_sni" },
    { form: "the bare host", sent: host, logged: host, why: "malformed_sni" },
    { form: "a trailing dot", sent: `${name}.`, logged: `${name}.`, why: "malformed_sni" },
    { form: "no name", sent: undefined, logged: null, why: "no_sni" },
    { form: "a wrong port", sent: wrongPort, logged: wrongPort, why: "unknown_port" },
    { form: "a wrong host", sent: wrongHost, logged: wrongHost, why: "host_not_exported" },
  ];
}

/** The sets of protocols, four of the mesh and two that are not. */
export const protocolSets: readonly (readonly string[])[] = [
  ["istio"],
  ["istio-peer-exchange"],
  ["istio-http/1.1"],
  ["istio-h2"],
  [],
  ["h2", "http/1.1"],
];

/** A TLS client without a certificate: the error it ends with, and how many bytes it was sent. */
export async function handshake(
  t: TestContext,
  target: { readonly host?: string; readonly port: number },
  servername: string | undefined,
  alpn: readonly string[],
): Promise<{ readonly code: string; readonly bytes: number }> {
  const raw = connect({ host: "127.0.0.1", ...target });
  t.after(() => raw.destroy());
  const secure = tlsConnect({
    socket: raw,
    rejectUnauthorized: false,
    ...(servername === undefined ? {} : { servername }),
    ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
  });
  secure.resume();
  const [error] = (await once(secure, "error")) as [NodeJS.ErrnoException];
  return { code: error.code ?? error.message, bytes: raw.bytesRead };
}
