// The gRPC health check: grpc.health.v1.Health/Check, whose answer has to be SERVING.
import type { HealthCheckKind } from "../../envoy/cluster/health-check.ts";
import { addHeaders } from "./http-check.ts";
import type { CheckResult } from "./probe.ts";
import { headerMap, type CheckedResponse, type CheckExchange } from "./request-probe.ts";

type GrpcCheck = Extract<HealthCheckKind, { readonly kind: "grpc" }>;

// A flag and a length go before each message.
const prefixBytes = 5;
// The one message is of a few bytes; unknown fields may make it longer.
const keepBytes = 4096;
const serving = 1;

/** What is asked of a host. */
export function grpcCheckExchange(check: GrpcCheck, authority: string, scheme: "http" | "https", timeoutMs: number): CheckExchange {
  return {
    body: frame(check.serviceName),
    keepBytes,
    head: () => {
      const headers = headerMap(
        ["te", "trailers"],
        ["content-type", "application/grpc"],
        ["user-agent", "Envoy/HC"],
        ["grpc-timeout", `${Math.ceil(timeoutMs)}m`],
      );
      addHeaders(headers, check.initialMetadata);
      const path = "/grpc.health.v1.Health/Check";
      return { method: "POST", path, authority, scheme, headers, upgrade: "", expectContinue: false, info: { protocol: "HTTP/2" } };
    },
    judge,
  };
}

// HealthCheckRequest: field 1 is the service.
function frame(service: string): Buffer {
  const name = Buffer.from(service);
  const message = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, ...varint(name.length)]), name]);
  const prefix = Buffer.alloc(prefixBytes);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function varint(value: number): readonly number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}

function judge({ status, headers, trailers, body }: CheckedResponse): CheckResult {
  const failure = (reason: string): CheckResult => ({ kind: "failure", why: "active", reason });
  if (status !== 200) return failure(`HTTP status ${status}`);
  if (!/^application\/grpc(?:$|[;+])/i.test(headers.get("content-type") ?? "")) return failure("the response is not gRPC");
  // A failure may come as one block of headers, without a message.
  const code = trailers.get("grpc-status") ?? headers.get("grpc-status");
  if (code !== "0") return failure(`grpc-status ${code ?? "is missing"}`);
  const whole = body.length >= prefixBytes && body[0] === 0 && body.readUInt32BE(1) === body.length - prefixBytes;
  const answer = whole ? servingStatus(body.subarray(prefixBytes)) : undefined;
  if (answer === undefined) return failure("the response is no HealthCheckResponse");
  return answer === serving ? { kind: "success", degraded: false } : failure(`serving status ${answer}`);
}

/** HealthCheckResponse.status, 0 when it is not given; undefined for bytes that are no such message. */
function servingStatus(message: Buffer): number | undefined {
  let status = 0;
  let at = 0;
  const number = (): number | undefined => {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = message[at++];
      if (byte === undefined) return undefined;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    return undefined;
  };
  while (at < message.length) {
    const key = number();
    if (key === undefined) return undefined;
    const value = (key & 7) === 1 ? 8 : (key & 7) === 5 ? 4 : number();
    if (value === undefined) return undefined;
    if (key === 8) status = value;
    else if ((key & 7) === 2 || (key & 7) === 1 || (key & 7) === 5) at += value;
    else if ((key & 7) !== 0) return undefined;
    if (at > message.length) return undefined;
  }
  return status;
}
