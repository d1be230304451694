// What each reason of an east-west gateway means, and what can be done, for somebody who sees it for the first time.
import { type SniRefusal, sniRefusals } from "../../filter/sni-refusal.ts";

const meanings: Readonly<Record<SniRefusal, string>> = {
  no_sni: "the client names no server, and the name is all that the gateway routes by: only sidecars of the mesh send one of its form",
  malformed_sni:
    "the server name is not of the form outbound_.PORT_.SUBSET_.HOST that sidecars of the mesh send: a client without sidecar?",
  host_not_exported:
    "no service of that name is exported here: it is misspelt, missing in this mesh directory, or not among the hosts of the Gateway",
  unknown_port: "the service is exported, but has no such port",
  unknown_subset: "the service is exported, but no DestinationRule here has a subset of that name",
  no_mesh_alpn: "the client offers none of the protocols (ALPN) that sidecars of the mesh mark their mTLS with, so it is no sidecar",
  no_mtls_endpoints: "the service has no endpoint in this network that takes mTLS: workloads without a sidecar cannot be reached this way",
  all_unhealthy: "every endpoint of the service in this network is out for now, by outlier detection or health checks",
  hello_too_large: "the ClientHello is larger than 16 KiB",
  hello_timeout: "the ClientHello was not complete in time",
  not_tls: "the first bytes are no TLS ClientHello: plain text has nothing to be routed by here",
};

const isRefusal = (reason: string): reason is SniRefusal => (sniRefusals as readonly string[]).includes(reason);

/** The sentence behind a reason; undefined for reasons of other listeners. */
export function whatRefusalMeans(reason: string): string | undefined {
  return isRefusal(reason) ? meanings[reason] : undefined;
}
