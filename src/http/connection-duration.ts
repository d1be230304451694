// HttpProtocolOptions.max_connection_duration of a downstream connection, whatever it speaks.
import type { Socket } from "node:net";
import type { Clock } from "../clock.ts";

/** Calls `onReached` once when the connection has been open for `maxMs`; 0 = never. */
export function limitConnectionDuration(socket: Socket, maxMs: number, clock: Clock, onReached: () => void): void {
  if (maxMs <= 0) return;
  const timer = clock.after(maxMs, onReached);
  socket.once("close", () => timer.cancel());
}
