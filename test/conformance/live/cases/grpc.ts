// gRPC: local replies are trailers-only, and what filters and routes say becomes a grpc-status.
import { type LiveCase, fields, frames, get } from "../case.ts";
import { data, type Field, headers } from "../h2-exchange.ts";

const call = (path: string, ...more: readonly Field[]): readonly Buffer[] => [
  headers(
    1,
    [...fields(path, ["content-type", "application/grpc"], ["te", "trailers"], ...more)].map(
      ([key, value]) => [key, key === ":method" ? "POST" : value] as const,
    ),
    false,
  ),
  data(1, "\0\0\0\0\0"),
];
const grpc = (name: string, path: string, more: readonly Field[] = [], options: object = {}): LiveCase =>
  frames(`grpc: ${name}`, () => call(path, ...more), { listener: "http2", ...options });

export const grpcCases: readonly LiveCase[] = [
  grpc("answer with trailers", "/up/h2/s/M"),
  grpc("trailers only", "/up/h2/trailers-only"),
  grpc("no such host", "/s/M", [["host", "x"]]),
  grpc("no endpoints", "/up/none"),
  grpc("unknown cluster", "/up/unknown"),
  grpc("refused", "/up/refused"),
  grpc("circuit open", "/up/busy"),
  grpc("route timeout", "/to/route"),
  grpc("stream duration", "/to/stream"),
  grpc("grpc-timeout 100m", "/to/grpc", [["grpc-timeout", "100m"]]),
  grpc("grpc-timeout above the maximum", "/to/grpc", [["grpc-timeout", "9H"]]),
  grpc("grpc-timeout malformed", "/to/grpc", [
    ["grpc-timeout", "1x"],
    ["x-envoy-upstream-rq-timeout-ms", "200"],
  ]),
  grpc("origin closes", "/o/close"),
  grpc("origin says 404 in text", "/o/status/404"),
  grpc("origin says 503 in text", "/o/status/503"),
  grpc("HTTP/2 stream reset", "/up/h2/rst"),
  grpc("redirect", "/rd/scheme"),
  grpc("direct response", "/dr/500"),
  grpc("route for gRPC alone", "/grpc-only"),
  get("grpc: route for gRPC alone, HTTP request", "/grpc-only"),
  get("grpc: route for gRPC alone, application/grpc-web", "/grpc-only", ["content-type: application/grpc-web"]),
  get("grpc: local reply over HTTP/1", "/up/none", ["content-type: application/grpc+proto"]),
  grpc("fault abort", "/fault/abort", [], { listener: "filters" }),
  grpc("fault abort by gRPC status after a delay", "/fault/delay", [], { listener: "filters" }),
  grpc("rbac", "/rbac/path/secret", [], { listener: "filters" }),
  grpc("rate limit", "/limit/plain", [], { listener: "filters" }),
  grpc("rate limit as resource exhausted", "/limit/grpc", [], { listener: "filters" }),
  grpc(
    "too many headers",
    "/e",
    Array.from({ length: 100 }, (_, index) => [`x-${index}`, "v"] as const),
  ),
];
