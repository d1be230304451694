// Envoy core.v3.GrpcService, narrowed to Envoy's own client: a cluster and how long a call may take.
import type { Decoder } from "./decode/cursor.ts";
import { message } from "./decode/message.ts";
import { duration, nonEmpty, text } from "./decode/scalars.ts";

/** A gRPC server that filters ask. */
export interface GrpcService {
  readonly cluster: string;
  readonly authority: string;
  /** 0 = none. */
  readonly timeoutMs: number;
}

const strict = { unhandled: "error" } as const;

const decodeEnvoyGrpc = message(
  "envoy.config.core.v3.GrpcService.EnvoyGrpc",
  (m) => {
    const cluster = m.required("cluster_name", nonEmpty);
    return { cluster, authority: m.field("authority", text, cluster) };
  },
  strict,
);

/** A decoder of GrpcService; `timeoutMs` where it gives none. */
export function grpcService(timeoutMs: number): Decoder<GrpcService> {
  return message(
    "envoy.config.core.v3.GrpcService",
    (m) => {
      m.refuse("Google's gRPC client; give envoy_grpc", "google_grpc");
      m.refuse("metadata of calls", "initial_metadata");
      return { ...m.required("envoy_grpc", decodeEnvoyGrpc), timeoutMs: m.field("timeout", duration, timeoutMs) };
    },
    strict,
  );
}
