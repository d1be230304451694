// Istio's ALPN filter (istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig): which ALPN a request's upstream connection offers.
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { enumeration, list, nonEmpty } from "../decode/scalars.ts";

/** One upstream protocol and the ALPN list to offer for it instead of the cluster's. */
export interface AlpnOverride {
  readonly upstreamProtocol: "HTTP10" | "HTTP11" | "HTTP2";
  readonly alpnOverride: readonly string[];
}

/** FilterConfig. */
export interface IstioAlpnConfig {
  readonly overrides: readonly AlpnOverride[];
}

const protocol = enumeration({ HTTP10: 0, HTTP11: 1, HTTP2: 2 });

const decodeOverride: Decoder<AlpnOverride> = message(["upstream_protocol", "alpn_override"], (m) => ({
  upstreamProtocol: m.field("upstream_protocol", protocol, "HTTP10"),
  alpnOverride: m.field("alpn_override", list(nonEmpty), []),
}));

/** FilterConfig. */
export const decodeIstioAlpn: Decoder<IstioAlpnConfig> = message(["alpn_override"], (m) => ({
  overrides: m.field("alpn_override", list(decodeOverride), []),
}));
