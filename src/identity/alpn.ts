// Which application protocols this proxy offers and selects, of those a context lists.

/**
 * Negotiating it would oblige both sides to open the stream with a peer-metadata frame (Istio's TCP metadata exchange),
 * which this proxy does not speak; peers that are not offered it send none.
 */
const metadataExchange = "istio-peer-exchange";

/** The usable part of a configured list, in its order. */
export function usableProtocols(configured: readonly string[]): readonly string[] {
  return configured.filter((protocol) => protocol !== metadataExchange);
}

/** The server's choice: its own order wins (Envoy). Undefined when nothing is common, and then no ALPN is answered. */
export function selectProtocol(usable: readonly string[], offered: readonly string[]): string | undefined {
  return usable.find((protocol) => offered.includes(protocol));
}
