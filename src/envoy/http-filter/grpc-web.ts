// Envoy extensions.filters.http.grpc_web.v3.GrpcWeb: there is nothing to set.
import { emptyMessage } from "../decode/message.ts";

/** GrpcWeb. */
export const decodeGrpcWeb = emptyMessage("envoy.extensions.filters.http.grpc_web.v3.GrpcWeb");
