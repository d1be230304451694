// What is known about one connection and one request: filled in along the path, read by access logs, header formatters,
// stats and `explain`. Plain fields in a fixed order, because one StreamInfo is made per request.
import type { Metadata } from "../envoy/address.ts";
import type { GrpcMessages } from "../wire/grpc-message-counter.ts";
import type { HeaderMap } from "../wire/header-map.ts";

/** The peer of a TLS connection, as verified. */
export interface TlsPeer {
  readonly version: string;
  readonly cipher: string;
  /** A client certificate was presented / verified against the trusted CA. */
  readonly presented: boolean;
  readonly validated: boolean;
  readonly uriSans: readonly string[];
  readonly dnsSans: readonly string[];
  /** RFC 2253 subject and issuer, Envoy's form: `O=lab,CN=client`. */
  readonly subject: string;
  readonly issuer: string;
  readonly serialNumber: string;
  /** Lower-case hex SHA-256 of the DER certificate; empty when none was presented. */
  readonly sha256: string;
  /** PEM of the peer's certificate and of its chain, made on demand. */
  readonly pem: () => string;
  readonly chainPem: () => string;
  /** First URI SAN of the certificate this side presented, or empty. */
  readonly localUriSan: string;
  readonly localDnsSans: readonly string[];
  readonly localSubject: string;
  /** Hexadecimal; empty where there is none, as with tickets. */
  readonly sessionId: string;
  /** What is asked for rarely, read from the certificates on demand. */
  readonly details: () => TlsPeerDetails;
}

/** What tells one certificate of a chain. */
export interface CertificateMark {
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  readonly sha1: string;
  readonly serialNumber: string;
}

/** The rest that is known about a TLS peer; empty and 0 without a certificate. */
export interface TlsPeerDetails {
  readonly sha1: string;
  readonly ipSans: readonly string[];
  readonly emailSans: readonly string[];
  readonly validFromMs: number;
  readonly validToMs: number;
  /** The peer's certificate first, then its issuers as far as they are known. */
  readonly chain: readonly CertificateMark[];
  /** Of the certificate that this side presented. */
  readonly local: { readonly uriSans: readonly string[]; readonly ipSans: readonly string[]; readonly emailSans: readonly string[] };
}

/** An IP and port as text and number. */
export interface IpPort {
  readonly ip: string;
  readonly port: number;
}

/** The address that a connection upstream is made from, whoever's it is. */
export interface UpstreamSource extends IpPort {
  /** SO_MARK, 0 = none. */
  readonly mark: number;
}

/** One downstream connection, from accept to close. */
export class ConnectionInfo {
  readonly id: number;
  readonly startWallMs: number;
  readonly startMs: number;
  /** The peer as the socket says; PROXY protocol may replace `remote`, never this. */
  readonly directRemote: IpPort;
  remote: IpPort;
  /** Where the socket was accepted. */
  readonly directLocal: IpPort;
  /** The destination: original destination when restored, otherwise where the socket was accepted. */
  local: IpPort;
  localRestored = false;
  /** `tls`, `raw_buffer` or empty before inspection. */
  transportProtocol = "";
  /** ALPN offered in the ClientHello, or what the HTTP inspector saw. */
  applicationProtocols: readonly string[] = [];
  /** SNI, lower case; empty when none. */
  serverName = "";
  /** The SNI sni_cluster (or a filter like it) chose as cluster, empty when none did. */
  clusterOverride = "";
  /** A network filter refused the connection: its connection termination details. The terminal filter closes it. */
  denied = "";
  /** Response flags of that refusal. */
  deniedFlags = 0;
  filterChainName = "";
  listenerName = "";
  tls: TlsPeer | undefined = undefined;
  /** Whose address connections upstream carry on behalf of this one, where a filter asked for that. */
  upstreamSource: UpstreamSource | undefined = undefined;
  /** ALPN that was negotiated, empty when none. */
  negotiatedAlpn = "";
  /** Downstream TLS failure, Envoy's DOWNSTREAM_TRANSPORT_FAILURE_REASON. */
  transportFailureReason = "";
  /** Dynamic metadata by filter namespace, as network filters set it. */
  dynamicMetadata: Map<string, Record<string, unknown>> | undefined = undefined;
  /** Free-form state for filters, by canonical filter name. */
  filterState: Map<string, unknown> | undefined = undefined;

  constructor(id: number, startWallMs: number, startMs: number, remote: IpPort, local: IpPort) {
    this.id = id;
    this.startWallMs = startWallMs;
    this.startMs = startMs;
    this.directRemote = remote;
    this.remote = remote;
    this.directLocal = local;
    this.local = local;
  }
}

/** Something that carries dynamic metadata. */
export interface MetadataHolder {
  dynamicMetadata: Map<string, Record<string, unknown>> | undefined;
}

/** Adds to a filter's dynamic metadata; keys that are there already are replaced, as in Envoy. */
export function setDynamicMetadata(holder: MetadataHolder, filter: string, values: Readonly<Record<string, unknown>>): void {
  holder.dynamicMetadata ??= new Map();
  holder.dynamicMetadata.set(filter, { ...holder.dynamicMetadata.get(filter), ...values });
}

/** Something that a filter leaves for logs. */
export interface FilterStateObject {
  /** Its fields. */
  toJSON(): object;
  /** `%FILTER_STATE(...:PLAIN)%`. */
  toString(): string;
}

/** One request, or one TCP connection: the subject of exactly one access-log record. */
export class StreamInfo {
  readonly connection: ConnectionInfo;
  readonly startWallMs: number;
  readonly startMs: number;
  /** `HTTP/1.0`, `HTTP/1.1`, `HTTP/2`, or empty for TCP. */
  protocol = "";
  method = "";
  /** Path with query as it goes upstream; the original is in x-envoy-original-path. */
  path = "";
  authority = "";
  scheme = "";
  requestHeaders: HeaderMap | undefined = undefined;
  responseHeaders: HeaderMap | undefined = undefined;
  responseTrailers: HeaderMap | undefined = undefined;
  responseCode = 0;
  responseCodeDetails = "";
  connectionTerminationDetails = "";
  /** Bits of telemetry/response-flag.ts. */
  flags = 0;
  /** Body bytes for HTTP, payload bytes for TCP. */
  bytesReceived = 0;
  bytesSent = 0;
  routeName = "";
  virtualHostName = "";
  /** What the configuration says of the route. */
  routeMetadata: Metadata | undefined = undefined;
  upstreamCluster = "";
  /** Messages of a gRPC call, where somebody counts them. */
  grpcMessages: GrpcMessages | undefined = undefined;
  /** `ip:port`. */
  upstreamHost = "";
  /** What the configuration says of that host. */
  upstreamMetadata: Metadata | undefined = undefined;
  upstreamLocalAddress = "";
  upstreamProtocol = "";
  upstreamTransportFailureReason = "";
  upstreamTls: TlsPeer | undefined = undefined;
  attemptCount = 0;
  /** Monotonic stamps, 0 = did not happen. */
  firstUpstreamTxMs = 0;
  lastDownstreamRxMs = 0;
  firstUpstreamRxMs = 0;
  lastUpstreamRxMs = 0;
  firstDownstreamTxMs = 0;
  endMs = 0;
  /** Dynamic metadata by filter namespace. */
  dynamicMetadata: Map<string, Record<string, unknown>> | undefined = undefined;
  /** What filters leave for logs, by canonical filter name. */
  filterState: Map<string, FilterStateObject> | undefined = undefined;
  /** The request was for the health_check filter. */
  healthCheck = false;
  /** The client that x-forwarded-for names, where that is to be believed; its port is 0. */
  forwardedRemote: IpPort | undefined = undefined;

  constructor(connection: ConnectionInfo, startWallMs: number, startMs: number) {
    this.connection = connection;
    this.startWallMs = startWallMs;
    this.startMs = startMs;
  }

  /** The client: the connection's peer, or whom a trusted x-forwarded-for names. */
  get remote(): IpPort {
    return this.forwardedRemote ?? this.connection.remote;
  }
}
