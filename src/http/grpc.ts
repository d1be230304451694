// What marks a request as gRPC, and the text encoding of its status message.
import type { HeaderMap } from "../wire/header-map.ts";

/** True when the content type is `application/grpc` or one of its `+` subtypes (Envoy's hasGrpcContentType). */
export function isGrpc(headers: HeaderMap): boolean {
  const type = headers.get("content-type");
  return type !== undefined && type.startsWith("application/grpc") && (type.length === 16 || type.charCodeAt(16) === 43);
}

/** What outlier detection judges an answer by: a gRPC failure that comes in its headers counts as the HTTP status it stands for. */
export function outlierStatus(request: HeaderMap, status: number, response: HeaderMap): number {
  return (isGrpc(request) ? httpStatusOfGrpc(response.get("grpc-status")) : undefined) ?? status;
}

/** `grpc-message`: printable ASCII but `%` stays, the rest is percent-encoded (gRPC over HTTP/2, Responses). */
export function encodeGrpcMessage(text: string): string {
  return text.replace(/[^\x20-\x24\x26-\x7e]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`);
}

// Envoy's common/grpc/status.cc, by grpc-status.
const httpStatuses = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];

/** The HTTP status that stands for a `grpc-status`; undefined when it is absent or no number, 500 for numbers without a meaning. */
function httpStatusOfGrpc(status: string | undefined): number | undefined {
  return status === undefined || !/^[0-9]{1,9}$/.test(status) ? undefined : (httpStatuses[Number(status)] ?? 500);
}
