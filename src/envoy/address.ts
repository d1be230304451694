// Envoy core.v3.Address and CidrRange, narrowed to what sockets need.
import { isIP } from "node:net";
import { type Decoder, map } from "./decode/cursor.ts";
import { type Fields, message } from "./decode/message.ts";
import { enumeration, integer, nonEmpty, port, record, struct, text } from "./decode/scalars.ts";

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

const longestPrefix = integer(0, 128);

/** core.v3.CidrRange. */
export const decodeCidrRange: Decoder<CidrRange> = message("envoy.config.core.v3.CidrRange", (m) => {
  const addressPrefix = m.required("address_prefix", ipAddress);
  const prefixLen = m.field("prefix_len", longestPrefix, 0);
  if (prefixLen > 32 && isIP(addressPrefix) === 4) m.at.error(`an IPv4 prefix has at most 32 bits, got ${prefixLen}`, "prefix_len");
  return { addressPrefix, prefixLen };
});

/** An IP literal, v4 or v6. */
const ipAddress: Decoder<string> = (json, at) => {
  const value = text(json, at);
  if (typeof json === "string" && isIP(value) === 0) at.error(`expected an IP address, got ${JSON.stringify(value)}`);
  return value;
};

const protocol = enumeration({ TCP: 0, UDP: 1 });

/** core.v3.SocketAddress for TCP. The address may be a host name; callers that need an IP literal check it. */
export const decodeSocketAddress: Decoder<SocketAddress> = message("envoy.config.core.v3.SocketAddress", (m) => {
  if (m.field("protocol", protocol, "TCP") === "UDP") m.at.error("not supported: only TCP sockets are", "protocol");
  m.refuse("give port_value", "named_port");
  m.refuse("custom resolvers", "resolver_name");
  m.refuse("network namespaces", "network_namespace_filepath");
  m.accept("ipv4_compat");
  return { address: m.required("address", nonEmpty), port: m.field("port_value", port, 0) };
});

/** core.v3.Address. */
export const decodeAddress: Decoder<Address> = message("envoy.config.core.v3.Address", (m) => {
  m.refuse("internal listeners", "envoy_internal_address");
  return m.requiredOneof<Address>({ socket_address: decodeSocketAddress, pipe: decodePipe }, { address: "", port: 0 });
});

const decodePipe: Decoder<PipeAddress> = message("envoy.config.core.v3.Pipe", (m) => ({ pipe: m.required("path", nonEmpty) }));

/** core.v3.Address where only a TCP socket with an IP literal will do. */
export const decodeIpSocketAddress: Decoder<SocketAddress> = map(decodeAddress, (address, at) => {
  if ("pipe" in address) {
    at.error("not supported: only IP sockets are, here", "pipe");
    return { address: "", port: 0 };
  }
  if (address.address !== "" && isIP(address.address) === 0)
    at.error(`expected an IP address, got ${JSON.stringify(address.address)}`, "socket_address", "address");
  return address;
});

/** core.v3.Metadata. Typed metadata has no reader here. */
export const decodeMetadata: Decoder<Metadata> = message("envoy.config.core.v3.Metadata", (m) => {
  m.accept("typed_filter_metadata");
  return m.field("filter_metadata", record(struct), {});
});

/** The `envoy.lb` part of metadata, which subsets and transport socket matches look at. */
export const decodeLbMetadata: Decoder<Readonly<Record<string, unknown>>> = map(decodeMetadata, (metadata) => metadata["envoy.lb"] ?? {});

/** TcpKeepalive of listeners and clusters; kernel defaults where not given. */
export interface TcpKeepalive {
  readonly timeMs: number;
  readonly intervalMs: number;
  readonly probes: number;
}

/** core.v3.TcpKeepalive. */
export const decodeTcpKeepalive: Decoder<TcpKeepalive> = message("envoy.config.core.v3.TcpKeepalive", (m: Fields) => ({
  // Linux's own defaults (tcp(7)), which is what Envoy leaves in place.
  probes: m.field("keepalive_probes", integer(0, 127), 9),
  timeMs: m.field("keepalive_time", integer(0, 32_767), 7200) * 1000,
  intervalMs: m.field("keepalive_interval", integer(0, 32_767), 75) * 1000,
}));
