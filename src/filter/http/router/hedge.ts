// Hedging (route.v3.HedgePolicy.hedge_on_per_try_timeout): an attempt whose time is over goes on beside its successor, and the
// first good answer is the client's. Routes without it never come here.
import type { ProxyError } from "../../../error.ts";
import type { Timer } from "../../../clock.ts";
import type { Host } from "../../../upstream/cluster.ts";
import type { PoolWaiter, ResponseHandler, UpstreamExchange } from "../../../upstream/pool/exchange.ts";
import type { HeaderMap } from "../../../wire/header-map.ts";
import type { Head } from "../../../wire/http1-head.ts";

/** What an attempt holds while its successor is under way. */
export interface SetAside {
  readonly client: UpstreamExchange;
  readonly host: Host | undefined;
  readonly duration: Timer | undefined;
}

/** Whose attempts they are: the current one is its own affair. */
export interface HedgeOwner extends PoolWaiter, ResponseHandler {
  onAsideHead(attempt: HedgedAttempt, head: Head, endStream: boolean): void;
  onAsideReset(attempt: HedgedAttempt, error: ProxyError): void;
}

/** One attempt: tells its owner everything while it is the current one, and of answer and end alone once it was set aside. */
export class HedgedAttempt implements PoolWaiter, ResponseHandler {
  readonly #owner: HedgeOwner;
  /** Defined while another is the current one. */
  aside: SetAside | undefined = undefined;

  constructor(owner: HedgeOwner) {
    this.#owner = owner;
  }

  onPoolReady(exchange: UpstreamExchange): void {
    this.#owner.onPoolReady(exchange);
  }

  onPoolFailure(error: ProxyError): void {
    this.#owner.onPoolFailure(error);
  }

  onInformational(head: Head): void {
    if (this.aside === undefined) this.#owner.onInformational(head);
  }

  onResponseHead(head: Head, endStream: boolean): void {
    if (this.aside === undefined) this.#owner.onResponseHead(head, endStream);
    else this.#owner.onAsideHead(this, head, endStream);
  }

  onResponseData(data: Buffer, endStream: boolean): void {
    if (this.aside === undefined) this.#owner.onResponseData(data, endStream);
  }

  onResponseTrailers(trailers: HeaderMap): void {
    if (this.aside === undefined) this.#owner.onResponseTrailers(trailers);
  }

  onResponseReset(error: ProxyError): void {
    if (this.aside === undefined) this.#owner.onResponseReset(error);
    else this.#owner.onAsideReset(this, error);
  }

  onReadDone(): void {
    if (this.aside === undefined) this.#owner.onReadDone();
  }

  onWritable(): void {
    if (this.aside === undefined) this.#owner.onWritable();
  }
}
