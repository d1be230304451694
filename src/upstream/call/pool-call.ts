// One request of the proxy's own over a pool of a cluster's host: TLS, circuit breakers and statistics are the cluster's, as for any
// request. What is asked and over which protocol is for http1-call.ts and grpc-call.ts to say.
import type { Clock, Timer } from "../../clock.ts";
import type { ProxyError } from "../../error.ts";
import { HeaderMap } from "../../wire/header-map.ts";
import type { Head } from "../../wire/http1-head.ts";
import type { Host, UpstreamCluster } from "../cluster.ts";
import type { HttpPool, PoolWaiter, ResponseHandler, UpstreamExchange } from "../pool/exchange.ts";
import { countEnded, countSent } from "../request-counts.ts";
import { type Call, type CallOptions, failedCall, faultReason, maxResponseBytes, ownCall, type CallResult } from "./call.ts";

/** A request; `headers` come without host. */
export interface CallRequest {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly headers: HeaderMap;
  readonly body: Buffer;
  /** Where a cluster keeps its caller's protocol, this is the caller's. */
  readonly protocol: "HTTP/1.1" | "HTTP/2";
}

/** Chooses the pool that a call takes its connection from. */
export type PoolChoice = (host: Host, cluster: UpstreamCluster, clock: Clock) => HttpPool;

/** Sends a request to a host of the cluster. */
export function callOverPool(cluster: UpstreamCluster, request: CallRequest, options: CallOptions, choose: PoolChoice): Call {
  const call = new PoolCall(cluster, request, options, choose);
  call.start();
  return call;
}

const noBytes = Buffer.alloc(0);

class PoolCall implements Call, PoolWaiter, ResponseHandler {
  readonly #cluster: UpstreamCluster;
  readonly #request: CallRequest;
  readonly #options: CallOptions;
  readonly #choose: PoolChoice;
  readonly #pieces: Buffer[] = [];
  #bytes = 0;
  #timer: Timer | undefined;
  #pool: HttpPool | undefined;
  #host: Host | undefined;
  #client: UpstreamExchange | undefined;
  #counted = false;
  #head: { readonly status: number; readonly headers: HeaderMap } | undefined;
  #trailers: HeaderMap | undefined;
  #done = false;

  constructor(cluster: UpstreamCluster, request: CallRequest, options: CallOptions, choose: PoolChoice) {
    this.#cluster = cluster;
    this.#request = request;
    this.#options = options;
    this.#choose = choose;
  }

  start(): void {
    const { clock, timeoutMs } = this.#options;
    const cluster = this.#cluster;
    const host = cluster.pick(ownCall);
    if (host === undefined) {
      cluster.stats.upstreamCxNoneHealthy.inc();
      return this.#finish(failedCall("no healthy upstream"));
    }
    this.#host = host;
    if (timeoutMs > 0) this.#timer = clock.after(timeoutMs, () => this.#onTimeout());
    const pool = this.#choose(host, cluster, clock);
    this.#pool = pool;
    const client = pool.acquire(this);
    if (client !== undefined) this.onPoolReady(client);
  }

  cancel(): void {
    if (this.#done) return;
    this.#done = true;
    this.#release(true);
  }

  onPoolReady(client: UpstreamExchange): void {
    const { method, path, authority, headers, body, protocol } = this.#request;
    this.#pool = undefined;
    this.#client = client;
    this.#counted = true;
    countSent(this.#cluster, client);
    const scheme = this.#cluster.model.transportSocket.kind === "tls" ? "https" : "http";
    const head = { method, path, authority, scheme, headers, upgrade: "", expectContinue: false, info: { protocol } };
    client.send(this, head, body.length === 0);
    if (body.length > 0) client.write(body, true);
    client.flush();
  }

  onPoolFailure(error: ProxyError): void {
    this.#pool = undefined;
    // That the cluster has no room says nothing of the host.
    if (error.code !== "upstream_overflow") this.#host?.onResult("connect_failed");
    this.#finish(failedCall(faultReason(error)));
  }

  onInformational(): void {}

  onResponseHead(head: Head, endStream: boolean): void {
    this.#head = { status: head.status, headers: head.headers };
    this.#client?.host.onResult(head.status);
    this.#cluster.stats.response(head.status);
    // A tunnel nobody asked for never ends by itself.
    if (head.status === 101) this.#finish(failedCall("upstream_protocol_error"), true);
    else if (endStream) this.#complete();
  }

  onResponseData(data: Buffer, endStream: boolean): void {
    this.#bytes += data.length;
    if (this.#bytes > maxResponseBytes) return this.#finish(failedCall("the response is too large"), true);
    // The connection's buffer is read into again.
    if (data.length > 0) this.#pieces.push(Buffer.from(data));
    if (endStream) this.#complete();
  }

  onResponseTrailers(trailers: HeaderMap): void {
    this.#trailers = trailers;
    this.#complete();
  }

  onResponseReset(error: ProxyError): void {
    this.#client = undefined;
    this.#finish(failedCall(faultReason(error)));
  }

  onReadDone(): void {}
  onWritable(): void {}

  #onTimeout(): void {
    this.#cluster.stats.upstreamRqTimeout.inc();
    this.#host?.onResult("timeout");
    this.#finish(failedCall("timeout", true), true);
  }

  #complete(): void {
    const { status = 0, headers = new HeaderMap() } = this.#head ?? {};
    const body = this.#pieces.length === 0 ? noBytes : Buffer.concat(this.#pieces);
    this.#finish({ kind: "response", status, headers, body, trailers: this.#trailers });
  }

  #finish(result: CallResult, abort = false): void {
    if (this.#done) return;
    this.#done = true;
    this.#release(abort);
    this.#options.onDone(result);
  }

  #release(abort: boolean): void {
    this.#timer?.cancel();
    this.#pool?.cancel(this);
    this.#pool = undefined;
    if (this.#counted) {
      this.#counted = false;
      countEnded(this.#cluster, this.#client);
    }
    const client = this.#client;
    this.#client = undefined;
    if (abort) client?.abort();
  }
}
