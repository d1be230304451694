// How a connection manager's configuration becomes the settings of its HTTP/2 connections.
import type { Http2Options } from "../../envoy/http2-options.ts";
import type { HttpConnectionManagerConfig } from "../../envoy/listener/http-connection-manager.ts";
import type { SessionOptions } from "../../net/http2/session.ts";

/** The part that both sides have in common. */
function sessionOptions(http2: Http2Options): Omit<SessionOptions, "role" | "messages"> {
  return { ...http2, floods: http2 };
}

/** The downstream side's. */
export function serverSessionOptions(config: HttpConnectionManagerConfig): SessionOptions {
  return {
    ...sessionOptions(config.http2),
    role: "server",
    messages: {
      maxBytes: config.maxRequestHeadersKb * 1024,
      maxHeaders: config.maxHeadersCount,
      underscores: config.headersWithUnderscores,
    },
  };
}
