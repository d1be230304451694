// Whose request it is where other proxies stand in front of this one: the address that x-forwarded-for says, as far as its
// entries can be believed, and whether that is one of the addresses that count as internal.
import type { HttpConnectionManagerConfig } from "../envoy/listener/http-connection-manager.ts";
import { cidrContains, parseCidr, parseIp } from "../match/cidr.ts";
import type { IpPort } from "../telemetry/stream-info.ts";

/** What is known of the client. */
export interface ClientAddress {
  /** Undefined: the connection's peer. */
  readonly forwarded: IpPort | undefined;
  /** The request may carry x-envoy-* control headers. */
  readonly internal: boolean;
}

/** Finds the client of a request by its x-forwarded-for as it came and the connection's peer. */
export type ClientFinder = (forwardedFor: string | undefined, peer: IpPort) => ClientAddress;

const unknownClient: ClientAddress = { forwarded: undefined, internal: false };

/**
 * Compiles Envoy's rules. With use_remote_address the peer is the client, unless xff_num_trusted_hops say that the peer is a
 * proxy itself; without it the entry behind the trusted hops is.
 */
export function createClientFinder(
  config: Pick<HttpConnectionManagerConfig, "useRemoteAddress" | "xffNumTrustedHops" | "internalRanges">,
): ClientFinder {
  const { useRemoteAddress, xffNumTrustedHops: hops } = config;
  const ranges = config.internalRanges.flatMap((range) => parseCidr(range) ?? []);
  const isInternal = (address: string): boolean => {
    const ip = ranges.length === 0 ? undefined : parseIp(address);
    return ip !== undefined && ranges.some((range) => cidrContains(range, ip));
  };
  if (useRemoteAddress) {
    return (forwardedFor, peer) => {
      const entry = hops === 0 ? undefined : entryFromEnd(forwardedFor, hops - 1);
      const forwarded = entry === undefined ? undefined : { ip: entry, port: 0 };
      return { forwarded, internal: forwardedFor === undefined && isInternal((forwarded ?? peer).ip) };
    };
  }
  return (forwardedFor) => {
    const entry = entryFromEnd(forwardedFor, hops);
    if (entry === undefined) return unknownClient;
    // Only an entry that stands alone can have been written by a proxy of one's own.
    return { forwarded: { ip: entry, port: 0 }, internal: hops === 0 && !forwardedFor!.includes(",") && isInternal(entry) };
  };
}

/** The entry so many before the last; undefined when there are fewer, or it is no address. */
function entryFromEnd(forwardedFor: string | undefined, before: number): string | undefined {
  if (forwardedFor === undefined || forwardedFor === "") return undefined;
  const entries = forwardedFor.split(",");
  const entry = entries[entries.length - 1 - before]?.trim();
  return entry === undefined || parseIp(entry) === undefined ? undefined : entry;
}
