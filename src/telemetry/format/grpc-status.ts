// `%GRPC_STATUS%`: the status of a gRPC call from trailers or a trailers-only response.
import type { CompileOperator } from "./operator.ts";
import type { StreamInfo } from "../stream-info.ts";
import { grpcStatusOf } from "../../wire/grpc-status.ts";

const names = [
  "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
]; // prettier-ignore
const camelNames = names.map((name) =>
  name === "OK" ? name : name.toLowerCase().replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase()),
);
// Envoy's own spelling of code 1.
camelNames[1] = "Canceled";

/** True when the request says that it is a gRPC call: `application/grpc` or one of its `+` subtypes. */
export function isGrpcRequest(info: StreamInfo): boolean {
  const type = info.requestHeaders?.get("content-type");
  return type !== undefined && type.startsWith("application/grpc") && (type.length === 16 || type[16] === "+");
}

/** The status of a gRPC call; undefined for other requests and for calls that ended without one. */
export function grpcStatusNumber(info: StreamInfo): number | undefined {
  if (!isGrpcRequest(info)) return undefined;
  const value = info.responseTrailers?.get("grpc-status") ?? info.responseHeaders?.get("grpc-status");
  return value !== undefined && /^\d{1,9}$/.test(value) ? Number(value) : undefined;
}

// As Envoy logs it: a call without a status of its own has the one that its HTTP status stands for.
const loggedStatus = (info: StreamInfo): number | undefined =>
  grpcStatusNumber(info) ?? (isGrpcRequest(info) && info.responseCode > 0 ? grpcStatusOf(info.responseCode) : undefined);

const grpcStatus: CompileOperator = (argument = "CAMEL_STRING") => {
  if (argument === "NUMBER") return loggedStatus;
  const table = argument === "CAMEL_STRING" ? camelNames : argument === "SNAKE_STRING" ? names : undefined;
  if (!table) return { error: "expected CAMEL_STRING, SNAKE_STRING or NUMBER" };
  return (info) => {
    const code = loggedStatus(info);
    return code === undefined ? undefined : (table[code] ?? String(code));
  };
};

/** The operators about gRPC. */
export const grpcStatusReads: Readonly<Record<string, CompileOperator>> = {
  GRPC_STATUS: grpcStatus,
  GRPC_STATUS_NUMBER: () => loggedStatus,
};
