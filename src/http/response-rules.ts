// What the connection manager does to response headers: `server`, `date`, `via`, the request id. Compiled from configuration.
import type { Clock } from "../clock.ts";
import type { HttpConnectionManagerConfig } from "../envoy/listener/http-connection-manager.ts";
import type { HeaderMap } from "../wire/header-map.ts";
import type { HttpStream } from "./stream.ts";

/** Compiled response header rules. */
export interface ResponseRules {
  apply(stream: HttpStream, headers: HeaderMap): void;
  /** The part that needs no stream. */
  decorate(headers: HeaderMap): void;
}

/** Compiles the rules. */
export function createResponseRules(config: HttpConnectionManagerConfig, clock: Clock): ResponseRules {
  const { serverName, serverHeaderTransformation, via, alwaysSetRequestIdInResponse } = config;
  const date = createDateHeader(clock);

  const decorate = (headers: HeaderMap): void => {
    if (!headers.has("date")) headers.add("date", date());
    if (serverHeaderTransformation === "OVERWRITE" || (serverHeaderTransformation === "APPEND_IF_ABSENT" && !headers.has("server"))) {
      headers.set("server", serverName);
    }
    if (via !== "") {
      const before = headers.get("via");
      headers.set("via", before === undefined ? via : `${before}, ${via}`);
    }
  };

  return {
    decorate,
    apply(stream, headers) {
      decorate(headers);
      // A trace that a trusted client asked for is to be found again by its id.
      if (alwaysSetRequestIdInResponse || (stream.internal && stream.headers.has("x-envoy-force-trace"))) {
        const id = stream.headers.get("x-request-id");
        if (id !== undefined) headers.set("x-request-id", id);
      }
    },
  };
}

/** The `date` value, formatted once a second. */
function createDateHeader(clock: Clock): () => string {
  let second = -1;
  let text = "";
  return () => {
    const now = Math.floor(clock.wallMs() / 1000);
    if (now !== second) {
      second = now;
      text = new Date(now * 1000).toUTCString();
    }
    return text;
  };
}
