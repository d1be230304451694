// Configurations of the listener filters: most need none.
import type { Decoder } from "../decode/cursor.ts";
import { emptyMessage, message } from "../decode/message.ts";
import { bool, enumeration, list, text, uint32 } from "../decode/scalars.ts";

/** ProxyProtocol. */
export interface ProxyProtocolConfig {
  /** Connections without a PROXY header pass; otherwise they are closed. */
  readonly allowRequestsWithoutProxyProtocol: boolean;
  readonly disallowedVersions: readonly ("V1" | "V2")[];
  readonly statPrefix: string;
}

const version = enumeration({ V1: 0, V2: 1 });

/** extensions.filters.listener.proxy_protocol.v3.ProxyProtocol. */
export const decodeProxyProtocol: Decoder<ProxyProtocolConfig> = message(
  "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
  (m) => ({
    allowRequestsWithoutProxyProtocol: m.field("allow_requests_without_proxy_protocol", bool, false),
    disallowedVersions: m.field("disallowed_versions", list(version), []),
    statPrefix: m.field("stat_prefix", text, ""),
  }),
);

/** OriginalSrc. */
export interface OriginalSrcConfig {
  /** The client's port is kept too, not its address alone. */
  readonly bindPort: boolean;
  /** SO_MARK of the connections upstream, 0 = none. */
  readonly mark: number;
}

/** extensions.filters.listener.original_src.v3.OriginalSrc. */
export const decodeOriginalSrc: Decoder<OriginalSrcConfig> = message(
  "envoy.extensions.filters.listener.original_src.v3.OriginalSrc",
  (m) => ({ bindPort: m.field("bind_port", bool, false), mark: m.field("mark", uint32, 0) }),
);

/** extensions.filters.listener.tls_inspector.v3.TlsInspector: its settings tune buffers and fingerprints that nothing here reads. */
export const decodeTlsInspector = message("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector", (m) => {
  m.accept("initial_read_buffer_size", "max_client_hello_size");
  return {};
});

const nothing = (type: string): Decoder<object> => {
  const decoder = emptyMessage(type);
  return (json, at) => (decoder(json, at), {});
};

/** extensions.filters.listener.original_dst.v3.OriginalDst. */
export const decodeOriginalDstFilter = nothing("envoy.extensions.filters.listener.original_dst.v3.OriginalDst");
/** extensions.filters.listener.http_inspector.v3.HttpInspector. */
export const decodeHttpInspector = nothing("envoy.extensions.filters.listener.http_inspector.v3.HttpInspector");
/** extensions.filters.network.sni_cluster.v3.SniCluster. */
export const decodeSniCluster = nothing("envoy.extensions.filters.network.sni_cluster.v3.SniCluster");
/** extensions.filters.http.upstream_codec.v3.UpstreamCodec, which every upstream side has. */
export const decodeUpstreamCodec = nothing("envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec");
