// One unary gRPC call of the proxy's own to a cluster. It is HTTP/2 whatever the cluster's requests otherwise are: gRPC is nothing else.
import { encodeGrpcFrame, framePrefixBytes, grpcHeaders } from "../../wire/grpc-frame.ts";
import { HeaderMap } from "../../wire/header-map.ts";
import type { UpstreamCluster } from "../cluster.ts";
import { grpcPoolOf } from "../pool/pool-of.ts";
import { type Call, type CallOptions, type CallResult, failedCall } from "./call.ts";
import { callOverPool } from "./pool-call.ts";

/** A call: `path` is `/package.Service/Method`, `message` the request's bytes. */
export interface GrpcRequest {
  readonly authority: string;
  readonly path: string;
  readonly message: Buffer;
}

/** Calls a host of the cluster; the result's body is the response message, its status 200 whatever gRPC says: a failure is `failed`. */
export function callGrpc(cluster: UpstreamCluster, request: GrpcRequest, options: CallOptions): Call {
  const { authority, path, message } = request;
  const headers = grpcHeaders();
  if (options.timeoutMs > 0) headers.add("grpc-timeout", `${Math.ceil(options.timeoutMs)}m`);
  const call = { method: "POST", path, authority, headers, body: encodeGrpcFrame(message), protocol: "HTTP/2" as const };
  return callOverPool(cluster, call, { ...options, onDone: (result) => options.onDone(readReply(result)) }, grpcPoolOf);
}

// A server knows the deadline too, and may be the first to say that it passed.
const deadlineExceeded = "4";

function readReply(result: CallResult): CallResult {
  if (result.kind === "failed") return result;
  const { status, headers, trailers, body } = result;
  if (status !== 200) return failedCall(`HTTP status ${status}`);
  // A failure may come as one block of headers, without a message.
  const grpcStatus = trailers?.get("grpc-status") ?? headers.get("grpc-status");
  if (grpcStatus !== "0") return failedCall(`grpc-status ${grpcStatus ?? "is missing"}`, grpcStatus === deadlineExceeded);
  const whole = body.length >= framePrefixBytes && body[0] === 0 && body.readUInt32BE(1) === body.length - framePrefixBytes;
  if (!whole) return failedCall("the response is no single message");
  return { kind: "response", status, headers: new HeaderMap(), body: body.subarray(framePrefixBytes), trailers: undefined };
}
