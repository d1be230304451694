// Command operators in access logs.
import { type LiveCase, raw, request } from "../case.ts";

const asks: Readonly<Record<string, string>> = {
  "a proxied request": request("GET", "/o/e?q=a%20b+%41%c3%a9&q=c&r", ["X-A: abcdef", "X-Twice: 1", "X-Twice: 2"]),
  "a local reply": request("POST", "/local?x", ["X-B: b", "Content-Length: 3"], "abc"),
  "an upstream that refuses": request("GET", "/refused", ['X-A: a"b\\c\xe9\t.']),
  "a gRPC status": request("GET", "/o/grpc", ["content-type: application/grpc"]),
  "an HTTP/2 upstream with trailers": request("GET", "/h2/x", ["content-type: application/grpc", "te: trailers"]),
  "a request that the codec refuses": "GET /o/e HTTP/1.1\r\nHost: a\r\nbad name: x\r\n\r\n",
  "a request that is refused": "GET /o/e HTTP/1.1\r\n\r\n",
};

export const formatCases: readonly LiveCase[] = [
  ...["text", "json", "omit", "text-omit"].flatMap((format) =>
    Object.entries(asks).map(([what, ask]) => raw(`format ${format}: ${what}`, ask, { listener: `format-${format}` })),
  ),
  raw("format: operators without a value", asks["a proxied request"]!, { listener: "format-unavailable" }),
];
