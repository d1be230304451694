// A copy of a request on its way to a mirror cluster. Nobody waits for its answer, and nothing that happens to it touches the request it is a copy of.
import type { Clock } from "../../../clock.ts";
import type { ProxyError } from "../../../error.ts";
import { outlierStatus } from "../../../http/grpc.ts";
import { resetReply } from "../../../http/local-reply.ts";
import { LazyDeadline } from "../../../net/deadline.ts";
import { keepReadBuffer } from "../../../net/socket-reader.ts";
import { ownCall } from "../../../upstream/call/call.ts";
import type { Host, UpstreamCluster } from "../../../upstream/cluster.ts";
import type { HttpPool, PoolWaiter, RequestHead, ResponseHandler, UpstreamExchange } from "../../../upstream/pool/exchange.ts";
import { poolOf } from "../../../upstream/pool/pool-of.ts";
import { countEnded, countSent } from "../../../upstream/request-counts.ts";
import type { HeaderMap } from "../../../wire/header-map.ts";
import type { Head } from "../../../wire/http1-head.ts";

/** What bounds a copy. */
export interface MirrorLimits {
  readonly clock: Clock;
  /** From the end of the request on: the whole response (a route's timeout), or between two pieces of it when there is none. */
  readonly timeoutMs: number;
  /** The timeout begins again with every piece of the response. */
  readonly idle: boolean;
  /** Body bytes that may wait for the mirror; with more the copy is given up. */
  readonly bufferLimitBytes: number;
}

const nothing = Buffer.alloc(0);

/** One copy of one request. */
export class MirrorRequest implements PoolWaiter, ResponseHandler {
  readonly #cluster: UpstreamCluster;
  readonly #head: RequestHead;
  readonly #limits: MirrorLimits;
  readonly #bodiless: boolean;
  readonly #deadline: LazyDeadline;
  #host: Host | undefined;
  #pool: HttpPool | undefined;
  #client: UpstreamExchange | undefined;
  #counted = false;
  /** Bytes go to `#held`: there is no connection yet, it is full, or its end has not agreed to an upgrade. */
  #blocked = true;
  #held: Buffer[] = [];
  #heldBytes = 0;
  #trailers: HeaderMap | undefined;
  #complete: boolean;
  #resent = false;
  #done = false;

  /** @param bodiless the request is complete with its head */
  constructor(cluster: UpstreamCluster, head: RequestHead, bodiless: boolean, limits: MirrorLimits) {
    this.#cluster = cluster;
    this.#head = head;
    this.#limits = limits;
    this.#bodiless = bodiless;
    this.#complete = bodiless;
    this.#deadline = new LazyDeadline(limits.clock, () => this.#onTimeout());
  }

  /** True once nothing more is to be told to it. */
  get done(): boolean {
    return this.#done;
  }

  /** Picks a host and asks for a connection. */
  start(): void {
    const cluster = this.#cluster;
    const host = cluster.pick(ownCall);
    if (host === undefined) {
      cluster.stats.upstreamCxNoneHealthy.inc();
      return this.#finish(false);
    }
    this.#host = host;
    if (this.#complete) this.#deadline.set(this.#limits.timeoutMs);
    const pool = poolOf(host, cluster, this.#head.info.protocol, undefined, "", undefined, undefined, this.#limits.clock, "default");
    this.#pool = pool;
    const client = pool.acquire(this);
    if (client !== undefined) this.onPoolReady(client);
  }

  /** Request body bytes. */
  write(data: Buffer, endStream: boolean): void {
    if (this.#done) return;
    this.#complete = endStream;
    if (endStream) this.#deadline.set(this.#limits.timeoutMs);
    if (!this.#blocked) {
      this.#blocked = this.#client?.write(data, endStream) === false;
      return;
    }
    this.#heldBytes += data.length;
    if (this.#heldBytes > this.#limits.bufferLimitBytes) return this.#giveUp();
    if (data.length === 0) return;
    keepReadBuffer();
    this.#held.push(data);
  }

  /** The request's trailers, which end it. */
  writeTrailers(trailers: HeaderMap): void {
    if (this.#done) return;
    this.#complete = true;
    this.#deadline.set(this.#limits.timeoutMs);
    this.#trailers = trailers.clone();
    if (!this.#blocked) this.#client?.writeTrailers(this.#trailers);
  }

  /** Writes what was held back for more bytes of the same read. */
  flush(): void {
    this.#client?.flush();
  }

  /** The request will not be completed, so neither is its copy. */
  cancel(): void {
    if (!this.#complete) this.#giveUp();
  }

  // --- PoolWaiter, ResponseHandler -----------------------------------------------------------------------------------

  onPoolReady(client: UpstreamExchange): void {
    this.#pool = undefined;
    this.#client = client;
    this.#counted = true;
    countSent(this.#cluster, client);
    client.send(this, this.#head, this.#bodiless);
    // Bytes of a tunnel wait until the other side has agreed to it.
    if (!this.#bodiless && this.#head.upgrade === "") this.onWritable();
    if (this.#client === client) client.flush();
  }

  onPoolFailure(error: ProxyError): void {
    this.#pool = undefined;
    if (error.code !== "upstream_overflow") this.#host?.onResult("connect_failed");
    this.#cluster.stats.response(resetReply(error, false).status);
    this.#finish(false);
  }

  onWritable(): void {
    const client = this.#client;
    if (client === undefined || this.#done) return;
    this.#blocked = false;
    const held = this.#held;
    const ends = this.#complete && this.#trailers === undefined;
    this.#held = [];
    this.#heldBytes = 0;
    // As much as was allowed to wait may be written in one go.
    for (let i = 0; i < held.length && this.#client === client; i++) {
      this.#blocked = !client.write(held[i]!, ends && i === held.length - 1);
    }
    if (this.#client !== client || !this.#complete) return;
    if (this.#trailers !== undefined) client.writeTrailers(this.#trailers);
    else if (held.length === 0) client.write(nothing, true);
  }

  onInformational(): void {
    // Nobody waits for it.
  }

  onResponseHead(head: Head, endStream: boolean): void {
    const { status, headers } = head;
    this.#cluster.stats.response(status);
    this.#client?.host.onResult(outlierStatus(this.#head.headers, status, headers));
    if (endStream) this.#finish(false);
    else if (status !== 101) this.#touch();
    else if (this.#head.upgrade === "") this.#finish(true);
    else this.onWritable();
  }

  onResponseData(_data: Buffer, endStream: boolean): void {
    if (endStream) this.#finish(false);
    else this.#touch();
  }

  onResponseTrailers(): void {
    this.#finish(false);
  }

  onResponseReset(error: ProxyError): void {
    this.#release();
    this.#client = undefined;
    if (error.retryable && this.#bodiless && !this.#resent) {
      // The connection had been closed before it got anything.
      this.#resent = true;
      return this.start();
    }
    this.#host?.onResult("connect_failed");
    this.#cluster.stats.response(resetReply(error, false).status);
    this.#finish(false);
  }

  onReadDone(): void {
    // What came was dropped.
  }

  // --- ends ----------------------------------------------------------------------------------------------------------

  #touch(): void {
    if (this.#limits.idle && this.#complete) this.#deadline.set(this.#limits.timeoutMs);
  }

  #onTimeout(): void {
    if (this.#done) return;
    this.#cluster.stats.upstreamRqTimeout.inc();
    if (this.#counted) this.#host?.onResult("timeout");
    this.#finish(true);
  }

  #giveUp(): void {
    this.#finish(true);
  }

  #finish(abort: boolean): void {
    if (this.#done) return;
    this.#done = true;
    this.#deadline.dispose();
    this.#held = [];
    this.#pool?.cancel(this);
    this.#pool = undefined;
    this.#release();
    const client = this.#client;
    this.#client = undefined;
    // An answer that came before the request was complete leaves a connection in no state for another request.
    if (abort || !this.#complete) client?.abort();
  }

  #release(): void {
    if (!this.#counted) return;
    this.#counted = false;
    countEnded(this.#cluster, this.#client);
  }
}
