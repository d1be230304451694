// IPv4, IPv6 or both: which addresses a proxy binds, calls from and is given, as Istio decides it by the proxy's own addresses.
import { isIP } from "node:net";
import { type Json, socketAddress } from "./envoy-json.ts";
import type { MeshConfig } from "./mesh-config.ts";
import type { Proxy } from "./proxy.ts";

/** Families among the proxy's own addresses. */
export type IpMode = "v4" | "v6" | "both";

/** What follows from the families of a proxy. */
export interface AddressFamily {
  readonly mode: IpMode;
  /** The proxy has both families and the mesh is a dual stack one: services have all of their addresses there. */
  readonly dual: boolean;
  /** What a wildcard listener binds first: `::` only where there is no IPv4. */
  readonly wildcard: "0.0.0.0" | "::";
  /** Also bound by an outbound wildcard listener. */
  readonly extraWildcards: readonly string[];
}

/** Where connections to the own application come from, so that iptables tells them from the application's calls to itself. */
const inboundSources = { v4: "127.0.0.6", v6: "::6" } as const;

/** True when the mesh is set up for dual stack: `defaultConfig.proxyMetadata.ISTIO_DUAL_STACK`, as Istio's guide has it. */
export function isDualStackMesh(config: MeshConfig): boolean {
  return config.proxyMetadata["ISTIO_DUAL_STACK"] === "true";
}

/** Looks at the proxy's own addresses; without any it is taken for IPv4. */
export function familyOf(proxy: Proxy, config: MeshConfig): AddressFamily {
  const [four, six] = [4, 6].map((family) => proxy.addresses.some((address) => isIP(address) === family));
  const mode = six === true ? (four === true ? "both" : "v6") : "v4";
  return {
    mode,
    dual: mode === "both" && isDualStackMesh(config),
    wildcard: mode === "v6" ? "::" : "0.0.0.0",
    extraWildcards: mode === "both" ? ["::"] : [],
  };
}

/** The addresses of a Kubernetes service that a proxy uses: of its own family if there are any, one unless it is dual. */
export function chooseAddresses(family: AddressFamily, addresses: readonly string[]): readonly string[] {
  if (family.dual) return addresses;
  const wanted = family.mode === "v4" ? 4 : 6;
  const own = family.mode === "both" ? addresses : addresses.filter((address) => isIP(address) === wanted);
  return (own.length > 0 ? own : addresses).slice(0, 1);
}

/** A listener's `additional_addresses`. */
export function additionalAddresses(addresses: readonly string[], port: number): Json {
  return addresses.length === 0 ? {} : { additional_addresses: addresses.map((address) => ({ address: socketAddress(address, port) })) };
}

/** `upstream_bind_config` of inbound clusters; `passthrough` is the cluster of unclaimed ports, which serves both families in any mesh. */
export function inboundBindConfig({ mode, dual }: AddressFamily, passthrough: boolean): Json {
  const source = { address: mode === "v6" ? inboundSources.v6 : inboundSources.v4, port_value: 0 };
  const extra = mode === "both" && (dual || passthrough);
  return {
    source_address: source,
    ...(extra ? { extra_source_addresses: [{ address: { address: inboundSources.v6, port_value: 0 } }] } : {}),
  };
}

/** `dns_lookup_family` of clusters that resolve host names. */
export function lookupFamily({ mode, dual }: AddressFamily): "V4_ONLY" | "V6_ONLY" | "ALL" {
  if (dual) return "ALL";
  return mode === "v6" ? "V6_ONLY" : "V4_ONLY";
}
