// The flags of istio-iptables that say what to intercept, with its names, letters and defaults. Each is also a variable of the
// environment (`istio-inbound-ports` is ISTIO_INBOUND_PORTS), which the flag overrides.

/** One flag that takes a value. */
export interface InterceptFlag {
  readonly name: string;
  readonly letter?: string;
  /** Value when neither flag nor variable says anything. */
  readonly default: string;
  readonly help: string;
  /** True for flags that may stand alone for `true`. */
  readonly boolean?: boolean;
  /** Further variables that mean the same. */
  readonly variables?: readonly string[];
}

/** In the order of `--help`. */
export const interceptFlags = [
  { name: "envoy-port", letter: "p", default: "15001", help: "port of the proxy that outbound connections are led to" },
  { name: "inbound-capture-port", letter: "z", default: "15006", help: "port of the proxy that inbound connections are led to" },
  { name: "inbound-tunnel-port", letter: "e", default: "15008", help: "port of HBONE, which is left alone" },
  { name: "proxy-uid", letter: "u", default: "", help: "users whose traffic is the proxy's own (default: that of ENVOY_USER, or 1337)" },
  { name: "proxy-gid", letter: "g", default: "", help: "groups whose traffic is the proxy's own (default: as proxy-uid)" },
  { name: "istio-inbound-interception-mode", letter: "m", default: "REDIRECT", help: "REDIRECT or TPROXY" },
  { name: "istio-inbound-ports", letter: "b", default: "", help: "inbound ports to take, * for all" },
  { name: "istio-local-exclude-ports", letter: "d", default: "", help: "inbound ports to leave alone, with *" },
  { name: "istio-exclude-interfaces", letter: "c", default: "", help: "network interfaces to leave alone" },
  { name: "istio-service-cidr", letter: "i", default: "", help: "ranges of outbound addresses to take, * for all" },
  { name: "istio-service-exclude-cidr", letter: "x", default: "", help: "ranges of outbound addresses to leave alone" },
  { name: "istio-outbound-ports", letter: "q", default: "", help: "outbound ports to take, whatever the address" },
  { name: "istio-local-outbound-ports-exclude", letter: "o", default: "", help: "outbound ports to leave alone" },
  { name: "kube-virt-interfaces", letter: "k", default: "", help: "interfaces of virtual machines, whose traffic is outbound" },
  { name: "istio-inbound-tproxy-mark", letter: "t", default: "1337", help: "packet mark of TPROXY" },
  { name: "istio-inbound-tproxy-route-table", letter: "r", default: "133", help: "routing table of TPROXY" },
  { name: "redirect-dns", default: "false", boolean: true, variables: ["ISTIO_META_DNS_CAPTURE"], help: "take DNS queries" },
  { name: "capture-all-dns", default: "false", boolean: true, help: "with it: those to any server, not only to those of resolv.conf" },
  {
    name: "drop-invalid",
    default: "false",
    boolean: true,
    variables: ["INVALID_DROP"],
    help: "drop what connection tracking calls invalid",
  },
  { name: "dual-stack", default: "false", boolean: true, variables: ["ISTIO_DUAL_STACK"], help: "IPv6 beside IPv4" },
  { name: "istio-outbound-owner-groups", default: "*", help: "groups, by name or number, whose outbound traffic is taken, * for all" },
  { name: "istio-outbound-owner-groups-exclude", default: "", help: "groups whose outbound traffic is left alone, with *" },
  { name: "istio-outbound-ipv4-loopback-cidr", default: "127.0.0.1/32", help: "what counts as the application's own loopback" },
  { name: "ipv6", default: "auto", help: "auto (as the machine's addresses are), on or off" },
] as const satisfies readonly InterceptFlag[];

/** The name of such a flag. */
export type InterceptFlagName = (typeof interceptFlags)[number]["name"];

/** Values as they were given, by flag. */
export type GivenFlags = { readonly [name in InterceptFlagName]?: string };

/** Values of the environment, by flag. */
export function flagsFromEnvironment(environment: Readonly<Record<string, string | undefined>>): GivenFlags {
  const given: { [name in InterceptFlagName]?: string } = {};
  for (const flag of interceptFlags as readonly (InterceptFlag & { readonly name: InterceptFlagName })[]) {
    const names = [...(flag.variables ?? []), flag.name.toUpperCase().replaceAll("-", "_")];
    // Istio's own names of a variable count above the one made of the flag, as there.
    const value = names.map((name) => environment[name]).find((found) => found !== undefined);
    if (value !== undefined) given[flag.name] = value;
  }
  return given;
}
