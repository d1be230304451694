// envoy.filters.listener.http_inspector: finds HTTP on plaintext connections, so that a chain can match `http/1.1` or `h2c`.
import { sniffHttp } from "../../../wire/http-sniff.ts";
import type { ListenerFilterSpec, ListenerFilterVerdict } from "../../filter.ts";

// Envoy's limit for the first line of a request that is being detected.
const maxBytes = 64 * 1024;

const needMore: ListenerFilterVerdict = { kind: "needMore" };
const goOn: ListenerFilterVerdict = { kind: "continue", consumed: 0 };

/** The HTTP inspector. */
export const httpInspector: ListenerFilterSpec = {
  extension: "envoy.filters.listener.http_inspector",
  create: (_config, deps) => {
    const stats = deps.stats.scope("http_inspector");
    const count = {
      "http/1.0": stats.counter("http10_found"),
      "http/1.1": stats.counter("http11_found"),
      h2c: stats.counter("http2_found"),
      none: stats.counter("http_not_found"),
    };
    return {
      needsBytes: true,
      maxBytes,
      inspect(info, bytes) {
        // What is inside TLS cannot be seen; the ALPN list stands.
        if (info.transportProtocol === "tls") return goOn;
        const found = sniffHttp(bytes);
        if (found === "needMore" && bytes.length < maxBytes) return needMore;
        const protocol = found === "needMore" ? "none" : found;
        count[protocol].inc();
        if (protocol !== "none") info.applicationProtocols = [protocol];
        return goOn;
      },
    };
  },
};
