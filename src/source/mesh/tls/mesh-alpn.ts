// The application protocols of the mesh: what marks a TLS connection as Istio's mTLS.

/** HTTP over mesh mTLS, set by the client's ALPN filter. */
export const meshHttpAlpn: readonly string[] = ["istio-http/1.0", "istio-http/1.1", "istio-h2"];

/** TCP over mesh mTLS, in the order a client offers it. */
export const meshTcpAlpn: readonly string[] = ["istio-peer-exchange", "istio"];

/** Every mesh protocol, in the order istiod matches them. */
export const anyMeshAlpn: readonly string[] = ["istio", "istio-peer-exchange", ...meshHttpAlpn];

/** What the HTTP inspector finds in plaintext HTTP. */
export const plaintextHttpAlpn: readonly string[] = ["http/1.1", "h2c"];
