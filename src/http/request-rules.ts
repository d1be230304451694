// What the connection manager does to request headers before routing (Envoy's conn_manager_utility), compiled from its
// configuration. The codec already dropped connection-specific fields.
import type { HttpConnectionManagerConfig } from "../envoy/listener/http-connection-manager.ts";
import type { FilterDeps } from "../filter/filter.ts";
import type { TlsPeer } from "../telemetry/stream-info.ts";
import type { HeaderMap } from "../wire/header-map.ts";
import { createClientFinder } from "./client-address.ts";
import { createRequestId } from "./request-id.ts";
import type { HttpStream } from "./stream.ts";

/** What the rules look at and change of a request. */
export type RuledRequest = Pick<HttpStream, "headers" | "info" | "authority" | "scheme" | "internal">;

/** Compiled request header rules. */
export interface RequestRules {
  apply(stream: RuledRequest): void;
}

// Control headers of Envoy's own that only a trusted internal client may send (CVE-2024-45806).
const externalOnlyStripped: ReadonlySet<string> = new Set([
  "x-envoy-internal",
  "x-envoy-retry-on",
  "x-envoy-retry-grpc-on",
  "x-envoy-max-retries",
  "x-envoy-upstream-alt-stat-name",
  "x-envoy-upstream-rq-timeout-ms",
  "x-envoy-upstream-rq-per-try-timeout-ms",
  "x-envoy-upstream-rq-timeout-alt-response",
  "x-envoy-expected-rq-timeout-ms",
  "x-envoy-force-trace",
  "x-envoy-ip-tags",
  "x-envoy-original-url",
  "x-envoy-hedge-on-per-try-timeout",
  "x-envoy-retriable-status-codes",
  "x-envoy-retriable-header-names",
  "x-envoy-upstream-stream-duration-ms",
]);
const edgeStripped: ReadonlySet<string> = new Set([
  ...externalOnlyStripped,
  "x-envoy-decorator-operation",
  "x-envoy-downstream-service-cluster",
  "x-envoy-downstream-service-node",
  "x-envoy-original-path",
  "x-envoy-original-host",
]);

/** Compiles the rules. */
export function createRequestRules(config: HttpConnectionManagerConfig, deps: Pick<FilterDeps, "localAddress" | "node">): RequestRules {
  const {
    schemeHeaderOverwrite,
    useRemoteAddress,
    xffNumTrustedHops,
    skipXffAppend,
    appendXForwardedPort,
    via,
    stripPort,
    stripTrailingHostDot,
  } = config;
  const stripped = useRemoteAddress ? edgeStripped : externalOnlyStripped;
  const trusted = xffNumTrustedHops > 0;
  const findClient = createClientFinder(config);

  const forwardFor = (stream: RuledRequest): void => {
    const { headers } = stream;
    const { connection } = stream.info;
    if (useRemoteAddress && !skipXffAppend) {
      const { ip } = connection.remote;
      const address = isLoopback(ip) ? deps.localAddress : ip;
      const before = headers.get("x-forwarded-for");
      headers.set("x-forwarded-for", before === undefined || before === "" ? address : `${before},${address}`);
    }
    const overwrite = useRemoteAddress && !trusted;
    const spoken = connection.tls === undefined ? "http" : "https";
    const said = headers.get("x-forwarded-proto");
    const proto = said === undefined || overwrite ? spoken : said;
    if (said !== proto) headers.set("x-forwarded-proto", proto);
    if (stream.scheme === "") stream.scheme = proto === "http" || proto === "https" ? proto : spoken;
    // As in Envoy, a client that says that there was no protocol has no route.
    if (proto === "") stream.scheme = "";
    if (appendXForwardedPort && (overwrite || !headers.has("x-forwarded-port")))
      headers.set("x-forwarded-port", String(connection.local.port));
  };

  const requestId = (headers: HeaderMap, internal: boolean): void => {
    const force = useRemoteAddress && !internal && !config.preserveExternalRequestId;
    if (force || (headers.get("x-request-id") ?? "") === "") headers.set("x-request-id", createRequestId());
  };

  // The name of the caller's cluster, which is what `user-agent` says where the client says nothing.
  const addUserAgent = (headers: HeaderMap): void => {
    headers.set("x-envoy-downstream-service-cluster", deps.node.cluster);
    if ((headers.get("user-agent") ?? "") === "") headers.set("user-agent", deps.node.cluster);
  };

  return {
    apply(stream) {
      const { headers } = stream;
      const { forwarded, internal } = findClient(headers.get("x-forwarded-for"), stream.info.connection.remote);
      stream.info.forwardedRemote = forwarded;
      stream.internal = internal;
      if (!internal) stripEnvoyHeaders(headers, stripped);
      if (stripPort !== "none")
        stream.authority = withoutPort(stream.authority, stripPort === "any" ? undefined : stream.info.connection.local.port);
      if (stripTrailingHostDot) stream.authority = withoutTrailingDot(stream.authority);
      forwardFor(stream);
      if (schemeHeaderOverwrite !== "") {
        stream.scheme = schemeHeaderOverwrite;
        headers.set("x-forwarded-proto", schemeHeaderOverwrite);
      }
      if (config.addUserAgent) addUserAgent(headers);
      if (via !== "") {
        const before = headers.get("via");
        headers.set("via", before === undefined ? via : `${before}, ${via}`);
      }
      if (internal) headers.set("x-envoy-internal", "true");
      else if (useRemoteAddress) headers.set("x-envoy-external-address", stream.info.remote.ip);
      if (config.generateRequestId) requestId(headers, internal);
      forwardClientCert(config, headers, stream.info.connection.tls);
    },
  };
}

function stripEnvoyHeaders(headers: HeaderMap, stripped: ReadonlySet<string>): void {
  const { names } = headers;
  for (let i = names.length - 1; i >= 0; i--) {
    const name = names[i]!;
    if (name.startsWith("x-envoy-") && stripped.has(name)) headers.removeAt(i);
  }
}

function isLoopback(ip: string): boolean {
  return ip.startsWith("127.") || ip === "::1" || ip.startsWith("::ffff:127.");
}

function withoutPort(authority: string, only: number | undefined): string {
  const colon = authority.lastIndexOf(":");
  if (colon < 0 || authority.endsWith("]")) return authority;
  const port = authority.slice(colon + 1);
  if (!/^[0-9]{1,5}$/.test(port) || (only !== undefined && Number(port) !== only)) return authority;
  return authority.slice(0, colon);
}

function withoutTrailingDot(authority: string): string {
  const colon = authority.lastIndexOf(":");
  const host = colon < 0 ? authority : authority.slice(0, colon);
  return host.endsWith(".") ? host.slice(0, -1) + (colon < 0 ? "" : authority.slice(colon)) : authority;
}

const xfcc = "x-forwarded-client-cert";

/** x-forwarded-client-cert by forward_client_cert_details. Without a client certificate nothing may claim there was one. */
function forwardClientCert(config: HttpConnectionManagerConfig, headers: HeaderMap, tls: TlsPeer | undefined): void {
  const mode = config.forwardClientCertDetails;
  if (mode === "ALWAYS_FORWARD_ONLY") return;
  if (mode === "SANITIZE" || tls === undefined || !tls.presented) {
    headers.remove(xfcc);
    return;
  }
  if (mode === "FORWARD_ONLY") return;
  const element = clientCertElement(config, tls);
  const before = mode === "APPEND_FORWARD" ? headers.get(xfcc) : undefined;
  headers.set(xfcc, before === undefined || before === "" ? element : `${before},${element}`);
}

function clientCertElement(config: HttpConnectionManagerConfig, tls: TlsPeer): string {
  const { subject, cert, chain, uri, dns } = config.setCurrentClientCertDetails;
  const parts: string[] = [];
  if (tls.localUriSan !== "") parts.push(`By=${tls.localUriSan}`);
  if (tls.sha256 !== "") parts.push(`Hash=${tls.sha256}`);
  if (cert) parts.push(`Cert="${encodeURIComponent(tls.pem())}"`);
  if (chain) parts.push(`Chain="${encodeURIComponent(tls.chainPem())}"`);
  // RFC 2253 has escaped its quotes already.
  if (subject) parts.push(`Subject="${tls.subject}"`);
  if (uri) for (const san of tls.uriSans.length > 0 ? tls.uriSans : [""]) parts.push(`URI=${san}`);
  if (dns) for (const san of tls.dnsSans) parts.push(`DNS=${san}`);
  return parts.join(";");
}
