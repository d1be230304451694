// What marks a request as gRPC, and the text encoding of its status message.
import type { HeaderMap } from "../wire/header-map.ts";

/** True when the content type is `application/grpc` or one of its `+` subtypes (Envoy's hasGrpcContentType). */
export function isGrpc(headers: HeaderMap): boolean {
  const type = headers.get("content-type");
  return type !== undefined && type.startsWith("application/grpc") && (type.length === 16 || type.charCodeAt(16) === 43);
}

/** `grpc-message`: printable ASCII but `%` stays, the rest is percent-encoded (gRPC over HTTP/2, Responses). */
export function encodeGrpcMessage(text: string): string {
  return text.replace(/[^\x20-\x24\x26-\x7e]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
}
