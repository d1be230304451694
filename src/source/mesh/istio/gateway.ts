// networking.istio.io Gateway: which ports a gateway proxy opens, for which hosts, and what it does with TLS.
import type { Fields } from "../object/fields.ts";

/** Gateway TLS modes that have a translation. */
export type GatewayTlsMode = "PASSTHROUGH" | "AUTO_PASSTHROUGH";

/** One server of a Gateway. */
export interface GatewayServer {
  readonly port: { readonly number: number; readonly name: string; readonly protocol: string };
  readonly tlsMode: GatewayTlsMode;
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

/** Reads a Gateway; terminating TLS and plain HTTP servers are refused until they can be served. */
export function readGateway(root: Fields): GatewaySpec {
  const spec = root.child("spec");
  if (spec === undefined) {
    root.error("spec", "is missing, expected a selector and servers");
    return { selector: {}, servers: [] };
  }
  const gateway = { selector: spec.stringMap("selector"), servers: spec.list("servers", readServer) };
  if (gateway.servers.length === 0) spec.error("servers", "is empty, expected at least one server");
  spec.finish();
  return gateway;
}

function readServer(server: Fields): GatewayServer {
  const port = server.child("port");
  if (port === undefined) server.error("port", "is missing, expected number, name and protocol");
  const tls = server.child("tls");
  const tlsMode = tls?.oneOf("mode", ["PASSTHROUGH", "AUTO_PASSTHROUGH"]);
  if (tls === undefined) server.error("tls", "is missing, expected mode PASSTHROUGH or AUTO_PASSTHROUGH: no other server is supported");
  else if (!tls.has("mode")) tls.error("mode", "is missing, expected PASSTHROUGH or AUTO_PASSTHROUGH");
  tls?.refused("credentialName", "serverCertificate", "privateKey", "caCertificates", "subjectAltNames", "httpsRedirect");
  tls?.notHonoured("minProtocolVersion", "maxProtocolVersion", "cipherSuites");
  tls?.finish();
  const hosts = server.strings("hosts").map(splitNamespace);
  if (hosts.length === 0) server.error("hosts", "is empty, expected at least one host");
  const result: GatewayServer = {
    port: {
      number: port?.requiredPort("number") ?? 0,
      name: port?.string("name") ?? "",
      protocol: (port?.requiredString("protocol") ?? "").toUpperCase(),
    },
    tlsMode: tlsMode ?? "PASSTHROUGH",
    hosts,
    bind: server.string("bind") ?? "",
  };
  port?.ignore("targetPort");
  port?.finish();
  server.ignore("name");
  server.notHonoured("defaultEndpoint");
  server.finish();
  return result;
}

function splitNamespace(text: string): { readonly namespace: string; readonly host: string } {
  const slash = text.indexOf("/");
  return slash < 0 ? { namespace: "*", host: text } : { namespace: text.slice(0, slash), host: text.slice(slash + 1) };
}
