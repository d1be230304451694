// ProxyConfig.gatewayTopology: what stands in front of a gateway, and so which of its clients' words count.
import { Fields, isMapping, IssueSink } from "../object/fields.ts";

/** gatewayTopology, of the mesh (`defaultConfig`) or of one proxy (PROXY_CONFIG in its metadata). */
export interface GatewayTopology {
  /** Proxies in front whose entries in x-forwarded-for are believed; default 0. */
  readonly numTrustedProxies: number;
  /** What becomes of x-forwarded-client-cert; default SANITIZE_SET. */
  readonly forwardClientCertDetails: (typeof modes)[number];
  /** Connections begin with a PROXY header that names the client; default false. */
  readonly proxyProtocol: boolean;
}

const modes = ["SANITIZE_SET", "SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "ALWAYS_FORWARD_ONLY"] as const;

/** Nothing in front. */
export const nothingInFront: GatewayTopology = {
  numTrustedProxies: 0,
  forwardClientCertDetails: "SANITIZE_SET",
  proxyProtocol: false,
};

/** Reads the field of a ProxyConfig; each of its own fields has Istio's default. */
export function readGatewayTopology(proxyConfig: Fields | undefined): GatewayTopology {
  const topology = proxyConfig?.child("gatewayTopology");
  if (topology === undefined) return nothingInFront;
  const mode = topology.oneOf("forwardClientCertDetails", ["UNDEFINED", ...modes]) ?? "UNDEFINED";
  const read: GatewayTopology = {
    numTrustedProxies: topology.integer("numTrustedProxies", { min: 0, max: 0xffff_ffff }) ?? nothingInFront.numTrustedProxies,
    forwardClientCertDetails: mode === "UNDEFINED" ? nothingInFront.forwardClientCertDetails : mode,
    proxyProtocol: topology.has("proxyProtocol"),
  };
  topology.finish();
  return read;
}

/** The one in a node's PROXY_CONFIG, which stands for the whole of the mesh's `defaultConfig`; undefined without any. */
export function topologyOfNode(proxyConfig: unknown): GatewayTopology | undefined {
  // A program wrote it, so whatever is wrong in it is as good as not there.
  return isMapping(proxyConfig) ? readGatewayTopology(new Fields(proxyConfig, ["PROXY_CONFIG"], new IssueSink())) : undefined;
}
