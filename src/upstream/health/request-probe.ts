// One request and its response to the host that is checked: what checks by HTTP and by gRPC have in common.
import type { Clock } from "../../clock.ts";
import type { ProxyError } from "../../error.ts";
import { HeaderMap } from "../../wire/header-map.ts";
import type { Head } from "../../wire/http1-head.ts";
import { faultReason } from "../call/call.ts";
import type { UpstreamCluster } from "../cluster.ts";
import type { HttpPool, PoolWaiter, RequestHead, ResponseHandler, UpstreamExchange } from "../pool/exchange.ts";
import { poolOf } from "../pool/pool-of.ts";
import type { CheckTarget } from "./check-target.ts";
import { type CheckResult, networkFailure, type Probe } from "./probe.ts";

/** A response, as far as it is kept. */
export interface CheckedResponse {
  readonly status: number;
  readonly headers: HeaderMap;
  readonly trailers: HeaderMap;
  readonly body: Buffer;
}

/** What is asked and how the answer is judged. */
export interface CheckExchange {
  /** Made anew for each check. */
  readonly head: () => RequestHead;
  readonly body: Buffer;
  /** Body bytes of the response that are kept. */
  readonly keepBytes: number;
  readonly judge: (response: CheckedResponse) => CheckResult;
}

/** Headers whose values are given, in order. */
export function headerMap(...fields: readonly (readonly [string, string])[]): HeaderMap {
  const headers = new HeaderMap();
  for (const [name, value] of fields) headers.add(name, value);
  return headers;
}

/** Asks by request. */
export class RequestProbe implements Probe, PoolWaiter, ResponseHandler {
  readonly #target: CheckTarget;
  readonly #cluster: UpstreamCluster;
  readonly #exchange: CheckExchange;
  readonly #clock: Clock;
  #done: ((result: CheckResult) => void) | undefined;
  #pool: HttpPool | undefined;
  #client: UpstreamExchange | undefined;
  #head: Head | undefined;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #resent = false;

  constructor(target: CheckTarget, cluster: UpstreamCluster, exchange: CheckExchange, clock: Clock) {
    this.#target = target;
    this.#cluster = cluster;
    this.#exchange = exchange;
    this.#clock = clock;
  }

  start(done: (result: CheckResult) => void): void {
    this.#done = done;
    this.#resent = false;
    this.#ask();
  }

  giveUp(): void {
    this.#done = undefined;
    this.#pool?.cancel(this);
    this.#pool = undefined;
    const client = this.#client;
    this.#client = undefined;
    client?.abort();
    this.#target.dropConnections();
  }

  close(): void {
    this.giveUp();
  }

  onPoolReady(client: UpstreamExchange): void {
    this.#pool = undefined;
    this.#client = client;
    const { body } = this.#exchange;
    client.send(this, this.#exchange.head(), body.length === 0);
    if (body.length > 0 && this.#client === client) client.write(body, true);
    client.flush();
  }

  onPoolFailure(error: ProxyError): void {
    this.#pool = undefined;
    this.#finish(networkFailure(faultReason(error)));
  }

  onInformational(): void {}

  onResponseHead(head: Head, endStream: boolean): void {
    this.#head = head;
    // Nobody asked for another protocol, and what follows would never end.
    if (head.status === 101) this.#abandon(networkFailure("an upgrade nobody asked for"));
    else if (endStream) this.#complete(new HeaderMap());
  }

  onResponseData(data: Buffer, endStream: boolean): void {
    const wanted = this.#exchange.keepBytes - this.#bytes;
    if (wanted > 0 && data.length > 0) {
      // The connection's buffer is read into again.
      const piece = Buffer.from(data.subarray(0, wanted));
      this.#pieces.push(piece);
      this.#bytes += piece.length;
    }
    if (endStream) this.#complete(new HeaderMap());
  }

  onResponseTrailers(trailers: HeaderMap): void {
    this.#complete(trailers);
  }

  onResponseReset(error: ProxyError): void {
    this.#client = undefined;
    if (this.#done !== undefined && error.retryable && !this.#resent) {
      // The host had closed the idle connection and saw nothing of this check.
      this.#resent = true;
      this.#ask();
    } else this.#finish(networkFailure(faultReason(error)));
  }

  onReadDone(): void {}
  onWritable(): void {}

  #ask(): void {
    this.#head = undefined;
    this.#pieces = [];
    this.#bytes = 0;
    const pool = poolOf(this.#target, this.#cluster, "HTTP/1.1", undefined, "", undefined, undefined, this.#clock, "default");
    this.#pool = pool;
    const client = pool.acquire(this);
    if (client !== undefined) this.onPoolReady(client);
  }

  #complete(trailers: HeaderMap): void {
    const head = this.#head;
    this.#client = undefined;
    if (head === undefined) return;
    const { status, headers } = head;
    this.#finish(this.#exchange.judge({ status, headers, trailers, body: Buffer.concat(this.#pieces) }));
  }

  #abandon(result: CheckResult): void {
    const client = this.#client;
    this.#client = undefined;
    client?.abort();
    this.#finish(result);
  }

  #finish(result: CheckResult): void {
    const done = this.#done;
    this.#done = undefined;
    done?.(result);
  }
}
