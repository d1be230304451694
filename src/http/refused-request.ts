// Requests that never became a stream: one record in the access log and their place in the counters, as for any other.
import { StreamInfo, type ConnectionInfo } from "../telemetry/stream-info.ts";
import type { HttpManager } from "./connection-manager.ts";

/** What is known of such a request. */
export type RefusedRequest = Pick<StreamInfo, "protocol" | "responseCodeDetails" | "flags"> &
  Partial<Pick<StreamInfo, "responseCode" | "bytesSent">>;

/** Logs and counts a request that was refused, or broken off, before it was a stream. */
export function recordRefusedRequest(manager: HttpManager, connection: ConnectionInfo, request: RefusedRequest): void {
  const { clock, stats } = manager;
  const info = Object.assign(new StreamInfo(connection, clock.wallMs(), clock.nowMs()), request);
  info.endMs = clock.nowMs();
  stats.downstreamRqTotal.inc();
  stats.downstreamRqCompleted.inc();
  manager.log(info);
}
