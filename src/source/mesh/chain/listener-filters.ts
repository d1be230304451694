// Listener filters: what is learnt about a connection before a filter chain is chosen.
import { extension, type Json } from "../envoy-json.ts";

/** Finds out where a redirected connection was going. */
export const originalDst: Json = extension(
  "envoy.filters.listener.original_dst",
  "envoy.extensions.filters.listener.original_dst.v3.OriginalDst",
);

/** Reads the ClientHello. */
export const tlsInspector: Json = extension(
  "envoy.filters.listener.tls_inspector",
  "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
  {
    initial_read_buffer_size: 512,
  },
);

/** Tells plaintext HTTP from other bytes. */
export const httpInspector: Json = extension(
  "envoy.filters.listener.http_inspector",
  "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
);

/** The same filter, kept away from connections to these ports. */
export function skippingPorts(filter: Json, ports: readonly number[]): Json {
  const rules = ports.map((port) => ({ destination_port_range: { start: port, end: port + 1 } }));
  const [only] = rules;
  return { ...filter, filter_disabled: rules.length === 1 ? only : { or_match: { rules } } };
}
