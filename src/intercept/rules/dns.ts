// DNS capture: queries to port 53 go to the proxy's DNS port over UDP and TCP, and UDP is kept apart in connection tracking:
// zone 1 is proxy and resolver, zone 2 application and proxy, since both pairs may use the same source port.
import { chainRules, jump } from "../rule.ts";
import type { Match, Rule } from "../rule.ts";
import type { InterceptSettings } from "../settings.ts";

/** Where the proxy answers DNS; fixed in Istio. */
const dnsPort = 15_053;

const proxyZone = 1;
const applicationZone = 2;

/** An address that queries go to; any address when undefined. */
interface Server {
  readonly cidr?: string;
  readonly family?: 4 | 6;
}

function serversOf({ dns, ipv6 }: InterceptSettings): readonly Server[] {
  if (dns === "off") return [];
  if (dns === "all") return [{}];
  return dns.servers
    .filter(({ family }) => family === 4 || ipv6)
    .toSorted((a, b) => a.family - b.family)
    .map(({ address, family }) => ({ cidr: `${address}/${family === 4 ? 32 : 128}`, family }));
}

// A jump is of the one family that there are servers of, or of both.
function jumpFamily(servers: readonly Server[]): 4 | 6 | undefined {
  const [first] = servers;
  return servers.every(({ family }) => family === first?.family) ? first?.family : undefined;
}

/** The way into ISTIO_OUTPUT_DNS, at its place in ISTIO_OUTPUT. */
export function dnsJumpRules(settings: InterceptSettings): readonly Rule[] {
  const servers = serversOf(settings);
  return servers.length === 0 ? [] : chainRules("nat", "ISTIO_OUTPUT", [[{}, jump("ISTIO_OUTPUT_DNS"), jumpFamily(servers)]]);
}

/** Redirections of nat, and zones of raw. */
export function dnsRules(settings: InterceptSettings): readonly Rule[] {
  if (settings.dns === "off") return [];
  const servers = serversOf(settings);
  return [
    ...(["tcp", "udp"] as const).flatMap((protocol) =>
      servers.flatMap(({ cidr, family }) =>
        chainRules("nat", "ISTIO_OUTPUT_DNS", [
          [{ protocol, destinationPorts: { is: [53] }, ...to(cidr) }, { kind: "redirect", port: dnsPort }, family],
        ]),
      ),
    ),
    ...chainRules("raw", "OUTPUT", [[{}, jump("ISTIO_OUTPUT_DNS")]]),
    ...proxyZoneRules(settings),
    ...(servers.length === 0 ? [] : chainRules("raw", "PREROUTING", [[{}, jump("ISTIO_INBOUND"), jumpFamily(servers)]])),
    ...servers.flatMap(({ cidr, family }) => [
      ...chainRules("raw", "ISTIO_OUTPUT_DNS", [
        [{ protocol: "udp", destinationPorts: { is: [53] }, ...to(cidr) }, { kind: "zone", zone: applicationZone }, family],
      ]),
      ...chainRules("raw", "ISTIO_INBOUND", [
        [{ protocol: "udp", sourcePort: 53, ...(cidr === undefined ? {} : { source: cidr }) }, { kind: "zone", zone: proxyZone }, family],
      ]),
    ]),
  ];
}

function to(cidr: string | undefined): Match {
  return cidr === undefined ? {} : { destination: { is: cidr } };
}

function proxyZoneRules({ proxyUids, proxyGids }: InterceptSettings): readonly Rule[] {
  const owners = [...proxyUids.map((id) => ({ kind: "uid", id }) as const), ...proxyGids.map((id) => ({ kind: "gid", id }) as const)];
  return owners.flatMap((owner) =>
    chainRules("raw", "ISTIO_OUTPUT_DNS", [
      [
        { protocol: "udp", destinationPorts: { is: [53] }, owners: [owner] },
        { kind: "zone", zone: proxyZone },
      ],
      [
        { protocol: "udp", sourcePort: dnsPort, owners: [owner] },
        { kind: "zone", zone: applicationZone },
      ],
    ]),
  );
}
