// gRPC's framing: a flag and a length before each message (gRPC over HTTP/2, "Length-Prefixed-Message").
import { HeaderMap } from "./header-map.ts";

/** A compressed flag and a length go before each message. */
export const framePrefixBytes = 5;

/** A message in its frame. `flag` is 0 for a message as it is; gRPC-Web marks trailers with 0x80. */
export function encodeGrpcFrame(message: Buffer, flag = 0): Buffer {
  const frame = Buffer.allocUnsafe(framePrefixBytes + message.length);
  frame[0] = flag;
  frame.writeUInt32BE(message.length, 1);
  message.copy(frame, framePrefixBytes);
  return frame;
}

/** The header fields that every call has. */
export function grpcHeaders(): HeaderMap {
  const headers = new HeaderMap();
  headers.add("te", "trailers");
  headers.add("content-type", "application/grpc");
  return headers;
}
