// envoy.filters.listener.tls_inspector: tells TLS from other protocols and reads SNI and ALPN from the ClientHello.
// The bytes stay for whoever comes next; nothing is decrypted.
import { inspectClientHello } from "../../../wire/client-hello.ts";
import type { ListenerFilterSpec, ListenerFilterVerdict } from "../../filter.ts";

/** Envoy's limit for a ClientHello (TLS_MAX_CLIENT_HELLO); post-quantum key shares need about 2 KiB. */
const maxClientHelloBytes = 16 * 1024;

/** Details of a connection that is closed for that limit. */
export const helloTooLarge = "client_hello_too_large";

const needMore: ListenerFilterVerdict = { kind: "needMore" };
const goOn: ListenerFilterVerdict = { kind: "continue", consumed: 0 };
const tooLarge: ListenerFilterVerdict = { kind: "close", details: helloTooLarge };

/** The TLS inspector. It has no options that change what a chain matches. */
export const tlsInspector: ListenerFilterSpec = {
  extension: "envoy.filters.listener.tls_inspector",
  create: (_config, deps) => {
    const stats = deps.stats.scope("tls_inspector");
    const count = {
      tls: stats.counter("tls_found"),
      notTls: stats.counter("tls_not_found"),
      alpn: stats.counter("alpn_found"),
      noAlpn: stats.counter("alpn_not_found"),
      sni: stats.counter("sni_found"),
      noSni: stats.counter("sni_not_found"),
      tooLarge: stats.counter("client_hello_too_large"),
      bytes: stats.histogram("bytes_processed"),
    };
    return {
      needsBytes: true,
      maxBytes: maxClientHelloBytes,
      inspect(info, bytes) {
        if (bytes.length === 0) return needMore;
        // The same verdict whether a large hello comes in one piece or in many.
        const found = inspectClientHello(bytes.length > maxClientHelloBytes ? bytes.subarray(0, maxClientHelloBytes) : bytes);
        switch (found.kind) {
          case "incomplete":
            if (bytes.length < maxClientHelloBytes) return needMore;
            count.tooLarge.inc();
            return tooLarge;
          case "hello":
            count.bytes.record(bytes.length);
            count.tls.inc();
            (found.serverName === undefined ? count.noSni : count.sni).inc();
            (found.alpn.length === 0 ? count.noAlpn : count.alpn).inc();
            info.transportProtocol = "tls";
            info.serverName = found.serverName ?? "";
            info.applicationProtocols = found.alpn;
            return goOn;
          case "not-tls":
          case "invalid":
            // A broken hello is served like any other bytes, as Envoy does: a raw_buffer chain or none decides.
            count.bytes.record(bytes.length);
            count.notTls.inc();
            return goOn;
        }
      },
    };
  },
};
