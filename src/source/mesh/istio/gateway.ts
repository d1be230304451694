// networking.istio.io Gateway: which ports a gateway proxy opens, for which hosts, and what it does with TLS.
import type { Fields } from "../object/fields.ts";
import { readServerTls, type ServerTls, type ServerTlsMode } from "./server-tls.ts";

/** One server of a Gateway. */
export interface GatewayServer {
  readonly port: { readonly number: number; readonly name: string; readonly protocol: string };
  /** NONE: no TLS at all. */
  readonly tlsMode: ServerTlsMode | "NONE";
  /** Undefined for plain HTTP and TCP. */
  readonly tls?: ServerTls;
  /** Requests that were not made with https are sent there. */
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

/** Reads a Gateway. */
export function readGateway(root: Fields): GatewaySpec {
  const spec = root.child("spec");
  if (spec === undefined) {
    root.error("spec", "is missing, expected a selector and servers");
    return { selector: {}, servers: [] };
  }
  const names = new Set<string>();
  const servers = spec.list("servers", (item) => {
    const server = readServer(item);
    if (names.has(server.port.name)) item.error("port", `repeats the name "${server.port.name}", expected a name for each`);
    names.add(server.port.name);
    return server;
  });
  const gateway = { selector: spec.stringMap("selector"), servers };
  if (servers.length === 0) spec.error("servers", "is empty, expected at least one server");
  spec.finish();
  return gateway;
}

function readServer(server: Fields): GatewayServer {
  const port = server.child("port");
  if (port === undefined) server.error("port", "is missing, expected number, name and protocol");
  const hosts = server.strings("hosts").map(splitNamespace);
  if (hosts.length === 0) server.error("hosts", "is empty, expected at least one host");
  const number = port?.requiredPort("number") ?? 0;
  const name = port?.requiredString("name") ?? "";
  const protocol = (port?.requiredString("protocol") ?? "").toUpperCase();
  port?.ignore("targetPort");
  port?.finish();
  const bind = server.string("bind") ?? "";
  const tls = readTls(server, protocol);
  server.ignore("name");
  server.notHonoured("defaultEndpoint");
  server.finish();
  return { port: { number, name, protocol }, tlsMode: tls.tls?.mode ?? "NONE", ...tls, hosts, bind };
}

const httpProtocols: ReadonlySet<string> = new Set(["HTTP", "HTTP2", "GRPC", "GRPC-WEB"]);

/** True for the protocols of plain HTTP servers. */
export function isPlainHttp({ port }: GatewayServer): boolean {
  return httpProtocols.has(port.protocol);
}

/** True when requests are seen: plain HTTP, or HTTPS that ends at the gateway. */
export function servesHttp(server: GatewayServer): boolean {
  const terminates = server.tlsMode !== "NONE" && server.tlsMode !== "PASSTHROUGH" && server.tlsMode !== "AUTO_PASSTHROUGH";
  return isPlainHttp(server) || (server.port.protocol === "HTTPS" && terminates);
}

/** TLS settings as the protocol admits them: HTTPS and TLS need some, plain HTTP has but a redirect, the rest has none. */
function readTls(server: Fields, protocol: string): { readonly tls?: ServerTls; readonly httpsRedirect: boolean } {
  if (httpProtocols.has(protocol)) return { httpsRedirect: readHttpsRedirect(server) };
  const fields = server.child("tls");
  if (protocol !== "HTTPS" && protocol !== "TLS") {
    if (fields !== undefined) server.error("tls", `is given for protocol ${protocol}, expected HTTPS or TLS`);
    return { httpsRedirect: false };
  }
  if (fields === undefined) {
    server.error("tls", `is missing, expected a mode for protocol ${protocol}`);
    return { httpsRedirect: false };
  }
  const tls = readServerTls(fields);
  return { tls, httpsRedirect: tls.httpsRedirect };
}

/** Of the TLS settings a plain HTTP server has only this one to say. */
function readHttpsRedirect(server: Fields): boolean {
  const tls = server.child("tls");
  const redirect = tls?.boolean("httpsRedirect") ?? false;
  tls?.ignore("mode");
  tls?.finish();
  return redirect;
}

function splitNamespace(text: string): { readonly namespace: string; readonly host: string } {
  const slash = text.indexOf("/");
  return slash < 0 ? { namespace: "*", host: text } : { namespace: text.slice(0, slash), host: text.slice(slash + 1) };
}
