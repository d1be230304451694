// networking.istio.io Gateway: which ports a gateway proxy opens, for which hosts, and what it does with TLS.
import type { Fields } from "../object/fields.ts";

/** Gateway TLS modes that have a translation; NONE is plain HTTP. */
export type GatewayTlsMode = "NONE" | "PASSTHROUGH" | "AUTO_PASSTHROUGH";

/** One server of a Gateway. */
export interface GatewayServer {
  readonly port: { readonly number: number; readonly name: string; readonly protocol: string };
  readonly tlsMode: GatewayTlsMode;
  /** `tls.httpsRedirect` of a plain HTTP server: every request is sent to https. */
  readonly httpsRedirect: boolean;
  /** Hosts without their namespace prefix, e.g. `*.local`. */
  readonly hosts: readonly { readonly namespace: string; readonly host: string }[];
  /** An address to bind instead of all; empty when not given. */
  readonly bind: string;
}

/** Gateway.spec. */
export interface GatewaySpec {
  readonly selector: Readonly<Record<string, string>>;
  readonly servers: readonly GatewayServer[];
}

/** Reads a Gateway. A server that ends TLS or forwards plain TCP is listed and left closed; the others are served. */
export function readGateway(root: Fields): GatewaySpec {
  const spec = root.child("spec");
  if (spec === undefined) {
    root.error("spec", "is missing, expected a selector and servers");
    return { selector: {}, servers: [] };
  }
  const servers = spec.list("servers", readServer);
  const gateway = { selector: spec.stringMap("selector"), servers: servers.filter((server) => server !== undefined) };
  if (servers.length === 0) spec.error("servers", "is empty, expected at least one server");
  spec.finish();
  return gateway;
}

function readServer(server: Fields): GatewayServer | undefined {
  const port = server.child("port");
  if (port === undefined) server.error("port", "is missing, expected number, name and protocol");
  const hosts = server.strings("hosts").map(splitNamespace);
  if (hosts.length === 0) server.error("hosts", "is empty, expected at least one host");
  const number = port?.requiredPort("number") ?? 0;
  const name = port?.string("name") ?? "";
  const protocol = (port?.requiredString("protocol") ?? "").toUpperCase();
  port?.ignore("targetPort");
  port?.finish();
  const bind = server.string("bind") ?? "";
  const plainHttp = ["HTTP", "HTTP2", "GRPC", "GRPC-WEB"].includes(protocol);
  const httpsRedirect = plainHttp && readHttpsRedirect(server);
  const tlsMode = plainHttp ? "NONE" : readTlsMode(server);
  server.ignore("name");
  server.notHonoured("defaultEndpoint");
  server.finish();
  return tlsMode === undefined ? undefined : { port: { number, name, protocol }, tlsMode, httpsRedirect, hosts, bind };
}

/** Of the TLS settings a plain HTTP server has only this one to say. */
function readHttpsRedirect(server: Fields): boolean {
  const tls = server.child("tls");
  const redirect = tls?.boolean("httpsRedirect") ?? false;
  tls?.ignore("mode");
  tls?.finish();
  return redirect;
}

function readTlsMode(server: Fields): GatewayTlsMode | undefined {
  const tls = server.child("tls");
  const mode = tls?.string("mode");
  if (mode === "PASSTHROUGH" || mode === "AUTO_PASSTHROUGH") {
    tls?.ignore("credentialName", "serverCertificate", "privateKey", "caCertificates", "subjectAltNames", "httpsRedirect");
    tls?.notHonoured("minProtocolVersion", "maxProtocolVersion", "cipherSuites");
    tls?.finish();
    return mode;
  }
  server.warn(
    tls === undefined ? "port" : "tls",
    "makes a server that is not opened: only plain HTTP and TLS in mode PASSTHROUGH or AUTO_PASSTHROUGH are served",
  );
  return undefined;
}

function splitNamespace(text: string): { readonly namespace: string; readonly host: string } {
  const slash = text.indexOf("/");
  return slash < 0 ? { namespace: "*", host: text } : { namespace: text.slice(0, slash), host: text.slice(slash + 1) };
}
