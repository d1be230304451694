// The upstream request's head: what the router adds and rewrites, in Envoy's order.
import type { ClusterTarget, CompiledForward, CompiledRoute } from "../../../http/route/route-table.ts";
import { isGrpc } from "../../../http/grpc.ts";
import { formatGrpcTimeout } from "./grpc-timeout.ts";
import type { HttpStream } from "../../../http/stream.ts";

/** What decides a request's headers. */
export interface RequestRoute {
  readonly route: CompiledRoute;
  readonly action: CompiledForward;
  readonly target: ClusterTarget;
  readonly suppressEnvoyHeaders: boolean;
}

/**
 * Expected timeout, attempt count, header changes, host, path: once per request, before the first attempt.
 * @param expectedMs 0 = there is no timeout to announce
 */
export function finishRequestHeaders(stream: HttpStream, by: RequestRoute, expectedMs: number): void {
  const { headers, info } = stream;
  const { route, action, target, suppressEnvoyHeaders } = by;
  if (!suppressEnvoyHeaders) {
    if (expectedMs > 0) headers.set("x-envoy-expected-rq-timeout-ms", String(expectedMs));
    if (route.includeAttemptCount) headers.set("x-envoy-attempt-count", "1");
  }
  // The server of a gRPC call is told how long somebody waits, whatever the client had said.
  if (action.model.maxGrpcTimeoutMs !== undefined && expectedMs > 0 && isGrpc(headers))
    headers.set("grpc-timeout", formatGrpcTimeout(expectedMs));
  target.requestHeaders?.apply(headers, info);
  route.requestHeaders?.apply(headers, info);
  // The route's rewrite has the last word over its weighted cluster's.
  const host = action.rewriteHost?.(stream, info);
  if (host !== undefined && host !== "") rewriteHost(stream, by, host);
  else if (target.hostRewrite !== undefined && target.hostRewrite !== "") {
    // As in Envoy, a weighted cluster's is not told to the upstream.
    stream.authority = target.hostRewrite;
    stream.info.authority = target.hostRewrite;
  }
  const path = action.rewritePath?.(stream.path, info);
  if (path === undefined || path === "") return;
  if (!suppressEnvoyHeaders) headers.set("x-envoy-original-path", stream.path);
  stream.path = path;
  info.path = path;
}

/** Sends the request to another host name and tells the upstream the original one. */
export function rewriteHost(stream: HttpStream, { action, suppressEnvoyHeaders }: RequestRoute, host: string): void {
  const { headers, authority } = stream;
  if (!suppressEnvoyHeaders) headers.set("x-envoy-original-host", authority);
  if (action.model.appendXForwardedHost) {
    const before = headers.get("x-forwarded-host");
    headers.set("x-forwarded-host", before === undefined ? authority : `${before},${authority}`);
  }
  stream.authority = host;
  stream.info.authority = host;
}
