// What the status ports' answers have in common.
import type { IncomingMessage } from "node:http";
import type { HttpAnswer } from "../net/http-server.ts";

/** A text answer, 200 unless said otherwise. */
export const plain = (body: string, status = 200): HttpAnswer => ({ status, body });

/** Whether the peer is this machine, or this pod: what may end the proxy. */
export function isLocal(request: IncomingMessage): boolean {
  const peer = request.socket.remoteAddress ?? "";
  return peer === "::1" || /^(?:::ffff:)?127\./.test(peer);
}
