// What interception is asked to do, as read from flags, annotations and the machine. Not how: that is rules/ and the back ends.

/** Everything of one kind (`*`), or just these. */
export type Selection<T> = "*" | readonly T[];

/** An IP range as it was written, with its family. */
export interface Range {
  readonly cidr: string;
  readonly family: 4 | 6;
  readonly loopback: boolean;
}

/** Groups whose outbound traffic is taken, by name or number (`ISTIO_OUTBOUND_OWNER_GROUPS`). */
export type OwnerGroups = { readonly except: readonly string[] } | { readonly only: readonly string[] };

/** Which DNS queries the proxy answers: none, all to port 53, or those to the servers of resolv.conf. */
export type DnsCapture = "off" | "all" | { readonly servers: readonly { readonly address: string; readonly family: 4 | 6 }[] };

/** The settings of one network namespace. Flag names in brackets are those of istio-iptables. */
export interface InterceptSettings {
  /** Where outbound connections go (`envoy-port`). */
  readonly proxyPort: number;
  /** Where inbound connections go (`inbound-capture-port`). */
  readonly inboundCapturePort: number;
  /** The HBONE port, never redirected (`inbound-tunnel-port`). */
  readonly inboundTunnelPort: number;
  /** Users whose traffic is the proxy's own (`proxy-uid`). */
  readonly proxyUids: readonly number[];
  /** Groups whose traffic is the proxy's own (`proxy-gid`). */
  readonly proxyGids: readonly number[];
  /** NONE, which only an annotation can say, means no rules at all. */
  readonly mode: "REDIRECT" | "TPROXY" | "NONE";
  /** Packet mark that leads to the proxy with TPROXY. */
  readonly tproxyMark: number;
  /** Routing table that marked packets use. */
  readonly tproxyRouteTable: number;
  readonly inboundPorts: Selection<number>;
  /** Only with `inboundPorts` `*`. */
  readonly inboundPortsExclude: readonly number[];
  readonly outboundPorts: readonly number[];
  readonly outboundPortsExclude: readonly number[];
  readonly outboundRanges: Selection<Range>;
  readonly outboundRangesExclude: readonly Range[];
  /** Interfaces of virtual machines: what comes in there is outbound (`kube-virt-interfaces`). */
  readonly virtualInterfaces: readonly string[];
  /** Interfaces left alone in both directions. */
  readonly excludeInterfaces: readonly string[];
  readonly ownerGroups: OwnerGroups;
  /** What counts as the application's own loopback; 127.0.0.1/32 by default. */
  readonly ipv4Loopback: string;
  readonly ipv6: boolean;
  readonly dns: DnsCapture;
  /** Drop what connection tracking calls invalid, instead of letting the kernel reset the connection. */
  readonly dropInvalid: boolean;
}

/** True when no traffic at all is led to the proxy, which is what flags mean when none is given. */
export function capturesNothing(settings: InterceptSettings): boolean {
  const { inboundPorts, outboundPorts, outboundRanges, dns } = settings;
  return (
    settings.mode === "NONE" || (inboundPorts.length === 0 && outboundPorts.length === 0 && outboundRanges.length === 0 && dns === "off")
  );
}
