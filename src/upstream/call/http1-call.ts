// One request of the proxy's own, in the protocol that the cluster speaks.
import type { HeaderMap } from "../../wire/header-map.ts";
import type { UpstreamCluster } from "../cluster.ts";
import { poolOf } from "../pool/pool-of.ts";
import type { Call, CallOptions } from "./call.ts";
import { callOverPool, type PoolChoice } from "./pool-call.ts";

/** A request; `headers` come without host and content-length. */
export interface Http1Request {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly headers: HeaderMap;
  readonly body: Buffer;
}

const protocol = "HTTP/1.1";
const choose: PoolChoice = (host, cluster, clock) => poolOf(host, cluster, protocol, undefined, "", undefined, undefined, clock, "default");

/** Sends a request to a host of the cluster. */
export function callHttp1(cluster: UpstreamCluster, request: Http1Request, options: CallOptions): Call {
  const headers = request.headers.clone();
  headers.add("content-length", String(request.body.length));
  return callOverPool(cluster, { ...request, headers, protocol }, options, choose);
}
