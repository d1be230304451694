// A rate limit service, on grpc-js and protobufjs: what the proxy's own codec says is read by somebody else's.
import { Server, ServerCredentials, type ServiceError, status } from "@grpc/grpc-js";
import protobuf from "protobufjs";

// Envoy's service.ratelimit.v3, the parts that are used; field numbers are the API's.
const proto = `syntax = "proto3"; package ratelimit;
message Entry { string key = 1; string value = 2; }
message Override { uint32 requests_per_unit = 1; int32 unit = 2; }
message Descriptor { repeated Entry entries = 1; Override limit = 2; }
message RateLimitRequest { string domain = 1; repeated Descriptor descriptors = 2; uint32 hits_addend = 3; }
message RateLimit { uint32 requests_per_unit = 1; int32 unit = 2; string name = 3; }
message Duration { int64 seconds = 1; int32 nanos = 2; }
message DescriptorStatus { int32 code = 1; RateLimit current_limit = 2; uint32 limit_remaining = 3; Duration duration_until_reset = 4; }
message HeaderValue { string key = 1; string value = 2; }
message RateLimitResponse { int32 overall_code = 1; repeated DescriptorStatus statuses = 2; repeated HeaderValue response_headers_to_add = 3;
  repeated HeaderValue request_headers_to_add = 4; bytes raw_body = 5; }`;

const root = protobuf.parse(proto, { keepCase: true }).root;
/** RateLimitRequest, for tests of the codec. */
export const rateLimitRequestType = root.lookupType("ratelimit.RateLimitRequest");
/** RateLimitResponse, for tests of the codec. */
export const rateLimitResponseType = root.lookupType("ratelimit.RateLimitResponse");

/** A request as plain JSON. */
export interface AskedLimit {
  readonly domain: string;
  readonly descriptors: readonly { readonly entries: readonly { readonly key: string; readonly value: string }[] }[];
}

/** A running service. */
export interface RateLimitServer {
  readonly port: number;
  readonly asked: readonly AskedLimit[];
  close(): void;
}

/** Listens on a free port; `decide` gives a RateLimitResponse as JSON, "fail" to fail the call, or undefined to never answer. */
export async function listenRateLimit(decide: (asked: AskedLimit) => object | "fail" | undefined): Promise<RateLimitServer> {
  const asked: AskedLimit[] = [];
  const server = new Server();
  server.addService(
    {
      ShouldRateLimit: {
        path: "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit",
        requestStream: false,
        responseStream: false,
        requestDeserialize: (bytes: Buffer) => rateLimitRequestType.toObject(rateLimitRequestType.decode(bytes)),
        requestSerialize: (value: Buffer) => value,
        responseSerialize: (value: object) => Buffer.from(rateLimitResponseType.encode(rateLimitResponseType.fromObject(value)).finish()),
        responseDeserialize: (bytes: Buffer) => bytes,
      },
    },
    {
      ShouldRateLimit: (call: { readonly request: AskedLimit }, answer: (error: Partial<ServiceError> | null, value?: object) => void) => {
        asked.push(call.request);
        const decision = decide(call.request);
        if (decision === "fail") answer({ code: status.INTERNAL, details: "broken" });
        else if (decision !== undefined) answer(null, decision);
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    ),
  );
  return { port, asked, close: () => server.forceShutdown() };
}
