// Outbound traffic: ISTIO_OUTPUT of nat, whose order decides. Exclusions, then what is the proxy's or loops, then inclusions.
import { chainRules, jump, toReturn } from "../rule.ts";
import type { Match, Owner, Rule, Target } from "../rule.ts";
import type { InterceptSettings } from "../settings.ts";
import { dnsJumpRules } from "./dns.ts";
import { forLoopback, inboundSource } from "./loopback.ts";

function output(match: Match, target: Target, family?: 4 | 6): readonly Rule[] {
  return chainRules("nat", "ISTIO_OUTPUT", [[match, target, family]]);
}

/** Rules of nat for what is sent. */
export function outboundRules(settings: InterceptSettings): readonly Rule[] {
  return [
    ...chainRules("nat", "ISTIO_REDIRECT", [[{ protocol: "tcp" }, { kind: "redirect", port: settings.proxyPort }]]),
    ...chainRules("nat", "OUTPUT", [[{}, jump("ISTIO_OUTPUT")]]),
    // Ahead of the rules about self calls, so that an excluded port is excluded there too.
    ...settings.outboundPortsExclude.flatMap((port) =>
      (["tcp", "udp"] as const).flatMap((protocol) => output({ protocol, destinationPorts: { is: [port] } }, toReturn)),
    ),
    ...inboundSource(settings, (source, family) => output({ outInterface: "lo", source }, toReturn, family)),
    ...settings.proxyUids.flatMap((id) => proxyRules(settings, { kind: "uid", id })),
    ...settings.proxyGids.flatMap((id) => proxyRules(settings, { kind: "gid", id })),
    ...ownerGroupRules(settings),
    ...dnsJumpRules(settings),
    ...forLoopback(settings, (own, family) => output({ destination: { is: own } }, toReturn, family)),
    ...settings.outboundRangesExclude.flatMap(({ cidr, family }) => output({ destination: { is: cidr } }, toReturn, family)),
    ...settings.outboundPorts.flatMap((port) => output({ protocol: "tcp", destinationPorts: { is: [port] } }, jump("ISTIO_REDIRECT"))),
    ...includeRules(settings),
  ];
}

function proxyRules(settings: InterceptSettings, owner: Owner): readonly Rule[] {
  const dns = settings.dns !== "off";
  const others = { ...owner, not: true };
  // A query that the proxy forwards to a resolver at an address of this pod must not come back as inbound traffic.
  const notSelfCalls = dns && owner.kind === "uid" ? [53, settings.inboundTunnelPort] : [settings.inboundTunnelPort];
  const { outboundRanges: ranges } = settings;
  const loopbackIncluded = ranges !== "*" && ranges.some(({ loopback }) => loopback);
  return [
    // The proxy calls its own pod by a service's address: inbound, as a call from another pod would be.
    ...forLoopback(settings, (own, family) =>
      output(
        {
          outInterface: "lo",
          protocol: "tcp",
          destination: { is: own, not: true },
          destinationPorts: { is: notSelfCalls, not: true },
          owners: [owner],
        },
        jump("ISTIO_IN_REDIRECT"),
        family,
      ),
    ),
    // The application calls its own pod by address. Port 53 goes on when DNS is captured: a resolver may listen on loopback.
    ...(loopbackIncluded
      ? []
      : output(
          dns
            ? { outInterface: "lo", protocol: "tcp", destinationPorts: { is: [53], not: true }, owners: [others] }
            : { outInterface: "lo", owners: [others] },
          toReturn,
        )),
    // Whatever else the proxy sends leaves as it is, or it would reach the proxy for ever.
    ...output({ owners: [owner] }, toReturn),
  ];
}

function ownerGroupRules({ ownerGroups }: InterceptSettings): readonly Rule[] {
  if ("except" in ownerGroups) return ownerGroups.except.flatMap((id) => output({ owners: [{ kind: "gid", id }] }, toReturn));
  return output({ owners: ownerGroups.only.map((id) => ({ kind: "gid", id, not: true }) as const) }, toReturn);
}

function includeRules({ outboundRanges }: InterceptSettings): readonly Rule[] {
  if (outboundRanges === "*") return output({}, jump("ISTIO_REDIRECT"));
  return outboundRanges.flatMap(({ cidr, family }) => output({ destination: { is: cidr } }, jump("ISTIO_REDIRECT"), family));
}

/** Interfaces: what virtual machines send is outbound; excluded ones are left alone, also by mangle with TPROXY. */
export function interfaceRules(settings: InterceptSettings): readonly Rule[] {
  const { virtualInterfaces, excludeInterfaces, outboundRanges } = settings;
  const redirected: readonly (readonly [Match, (4 | 6 | undefined)?])[] =
    outboundRanges === "*" ? [[{}]] : outboundRanges.map(({ cidr, family }) => [{ destination: { is: cidr } }, family] as const);
  const head = [
    ...virtualInterfaces.flatMap((inInterface) => chainRules("nat", "PREROUTING", [[{ inInterface }, toReturn]])),
    ...redirected.flatMap(([match, family]) =>
      virtualInterfaces.flatMap((inInterface) =>
        chainRules("nat", "PREROUTING", [[{ inInterface, ...match }, jump("ISTIO_REDIRECT"), family]]),
      ),
    ),
  ];
  return [
    // Each goes to the very front, so that the last of them, the redirections, come first.
    ...head.toReversed().map((rule) => ({ ...rule, head: true })),
    ...excludeInterfaces.flatMap((name) =>
      (settings.mode === "TPROXY" ? (["nat", "mangle"] as const) : (["nat"] as const)).flatMap((table) => [
        ...chainRules(table, "PREROUTING", [[{ inInterface: name }, toReturn]]),
        ...chainRules(table, "OUTPUT", [[{ outInterface: name }, toReturn]]),
      ]),
    ),
  ];
}
