// Requests that never became a stream: one record in the access log and their place in the counters, as for any other.
import { StreamInfo, type ConnectionInfo } from "../telemetry/stream-info.ts";
import { HeaderMap } from "../wire/header-map.ts";
import type { HttpManager } from "./connection-manager.ts";
import type { LocalReply } from "./local-reply.ts";

/** What is known of such a request. */
export type RefusedRequest = Pick<StreamInfo, "protocol" | "responseCodeDetails" | "flags"> &
  Partial<Pick<StreamInfo, "responseCode" | "bytesSent">>;

/** Logs and counts a request that was refused, or broken off, before it was a stream. */
export function recordRefusedRequest(manager: HttpManager, connection: ConnectionInfo, request: RefusedRequest): void {
  const { clock } = manager;
  recordRefusal(manager, Object.assign(new StreamInfo(connection, clock.wallMs(), clock.nowMs()), request));
}

/** As `recordRefusedRequest`, of a request of which everything is noted. */
export function recordRefusal(manager: HttpManager, info: StreamInfo): void {
  const { clock, stats } = manager;
  info.endMs = clock.nowMs();
  stats.downstreamRqTotal.inc();
  if (info.protocol === "HTTP/2") stats.downstreamRqHttp2Total.inc();
  else stats.downstreamRqHttp1Total.inc();
  stats.downstreamRqRxReset.inc();
  // One that got no answer is not completed.
  if (info.responseCode !== 0) {
    stats.downstreamRqCompleted.inc();
    stats.downstreamRqResponseBeforeRqComplete.inc();
  }
  manager.log(info);
}

/** The reply to such a request as it is sent, noted for the log. */
export function encodeRefusal(
  manager: HttpManager,
  info: StreamInfo,
  reply: LocalReply,
): { readonly status: number; readonly body: string; readonly headers: HeaderMap } {
  const headers = new HeaderMap();
  const mapped = manager.replyMapper?.(info, reply.status, reply.body, headers);
  const { status, body } = mapped ?? reply;
  headers.set("content-length", String(body.length));
  if (mapped?.contentType !== undefined) headers.set("content-type", mapped.contentType);
  else if (!headers.has("content-type")) headers.add("content-type", "text/plain");
  manager.decorateReply(headers);
  info.responseCode = status;
  info.responseHeaders = headers;
  info.bytesSent = body.length;
  return { status, body, headers };
}
