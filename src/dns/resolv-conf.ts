// resolv.conf as far as a forwarder needs it: name servers and the search list. Reading the file is the caller's.
import { isIP, isIPv4 } from "node:net";

/** An address that DNS messages are sent to. */
export interface NameServer {
  readonly host: string;
  readonly port: number;
}

/** What resolv.conf says. */
export interface ResolvConf {
  readonly nameServers: readonly NameServer[];
  readonly search: readonly string[];
}

/** Reads resolv.conf(5): comments, unknown keywords and addresses that are none are passed over; the last search list counts. */
export function parseResolvConf(text: string): ResolvConf {
  const nameServers: NameServer[] = [];
  let search: readonly string[] = [];
  for (const line of text.split("\n")) {
    const [keyword, ...values] = line.trim().split(/\s+/);
    const value = values[0];
    if (value === undefined) continue;
    if (keyword === "nameserver" && isIP(value) !== 0) nameServers.push({ host: value, port: 53 });
    else if (keyword === "search") search = values;
    else if (keyword === "domain") search = [value];
  }
  return { nameServers, search };
}

/**
 * The loopback addresses to listen on: those of the families the name servers have, since a client sends (and iptables
 * redirects) within a family; 127.0.0.1 when there are no name servers.
 */
export function loopbackHosts(nameServers: readonly NameServer[]): readonly string[] {
  const hosts: string[] = [];
  if (nameServers.length === 0 || nameServers.some(({ host }) => isIPv4(host))) hosts.push("127.0.0.1");
  if (nameServers.some(({ host }) => !isIPv4(host))) hosts.push("::1");
  return hosts;
}
