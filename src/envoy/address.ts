// Envoy core.v3.Address and CidrRange, narrowed to what sockets need.

/** A TCP address: an IP literal (or, for DNS clusters, a host name) and a port. */
export interface SocketAddress {
  readonly address: string;
  readonly port: number;
}

/** A Unix domain socket path. */
export interface PipeAddress {
  readonly pipe: string;
}

/** Where an endpoint is. */
export type Address = SocketAddress | PipeAddress;

/** core.v3.CidrRange. */
export interface CidrRange {
  readonly addressPrefix: string;
  readonly prefixLen: number;
}

/** Metadata by filter namespace (core.v3.Metadata.filter_metadata), plain JSON. */
export type Metadata = Readonly<Record<string, Readonly<Record<string, unknown>>>>;
