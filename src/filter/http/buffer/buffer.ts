// envoy.filters.http.buffer: holds a request until it is complete, so that an application that takes a thread a request is not
// kept waiting by slow clients. Larger ones are refused.
import type { BufferConfig, BufferPerRoute } from "../../../envoy/http-filter/buffer.ts";
import type { HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../http/filter.ts";
import { replies } from "../../../http/local-reply.ts";
import { perRoute } from "../../../http/route/per-route.ts";
import type { HttpStream } from "../../../http/stream.ts";
import { HeaderMap } from "../../../wire/header-map.ts";

/** The buffer filter. */
export const buffer: HttpFilterSpec = {
  extension: "envoy.filters.http.buffer",
  create: (config, context) => createBuffer(config as BufferConfig, context),
};

// Envoy closes an HTTP/1 connection here: it never waits for the rest of the request.
const tooLarge = { ...replies.payloadTooLarge, close: true };

function createBuffer(config: BufferConfig, context: HttpFilterContext): HttpFilter {
  const limitOf = perRoute(context.filterName, (route: BufferPerRoute) => (route.kind === "disabled" ? 0 : route.buffer.maxRequestBytes));
  const refused = context.scope.counter("downstream_rq_too_large");

  /** True when the request is complete, so that it may go on. */
  const check = (stream: HttpStream, maxBytes: number): boolean => {
    if (stream.heldBytes > maxBytes) {
      stream.onHeldBody = undefined;
      refused.inc();
      stream.sendLocalReply(tooLarge);
      return false;
    }
    if (!stream.requestComplete) return false;
    stream.onHeldBody = undefined;
    // Its length is known now, so that nobody behind needs chunks.
    if (!stream.headers.has("content-length")) stream.headers.add("content-length", String(stream.heldBytes));
    return true;
  };

  return {
    onRequestHeaders: (stream, endStream) => {
      // A tunnel's bytes are no body.
      if ((endStream && stream.heldBytes === 0) || stream.upgrade !== "") return "continue";
      const maxBytes = limitOf(stream) ?? config.maxRequestBytes;
      if (maxBytes === 0) return "continue";
      if (stream.expectContinue) {
        // The client waits for somebody to want the body, which is wanted here.
        stream.expectContinue = false;
        stream.respondInformational(100, new HeaderMap());
      }
      // One byte more than fits, or a body of just the limit would never be read to its end.
      stream.bufferLimitBytes = maxBytes + 1;
      if (check(stream, maxBytes)) return "continue";
      if (!stream.responseStarted) {
        stream.onHeldBody = () => {
          if (check(stream, maxBytes)) stream.continueRequest();
        };
      }
      return "stop";
    },
  };
}
