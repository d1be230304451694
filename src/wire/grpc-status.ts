// The gRPC status that an HTTP status stands for (Envoy's common/grpc/status.cc).

const statuses: Readonly<Record<number, number>> = { 400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14 };

/** The grpc-status of an answer that has this HTTP status and none of gRPC's own; 2 (unknown) for all that mean nothing else. */
export function grpcStatusOf(status: number): number {
  return statuses[status] ?? 2;
}
