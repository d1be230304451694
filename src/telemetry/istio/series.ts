// Istio's metrics of one worker: the instruments of each set of labels. Instruments live as long as the worker, so how many sets
// are kept apart is limited; whatever comes after them shares one more.
import type { Logger } from "../logger.ts";
import type { Counter, Histogram, StatsScope } from "../stats.ts";
import { type Labels, labelText, overflowLabels } from "./labels.ts";

/** What is counted of requests with the same labels. */
export interface RequestSeries {
  readonly total: Counter;
  readonly durationMs: Histogram;
  /** Bytes of bodies. */
  readonly requestBytes: Histogram;
  readonly responseBytes: Histogram;
  /** Of gRPC calls alone. */
  readonly messages: { readonly request: Counter; readonly response: Counter } | undefined;
}

/** What is counted of TCP connections with the same labels. */
export interface ConnectionSeries {
  readonly opened: Counter;
  readonly closed: Counter;
  /** Payload bytes to and from the client. */
  readonly sentBytes: Counter;
  readonly receivedBytes: Counter;
}

/** A series, and whether it is that of the labels asked for: the shared one is not to be remembered for them. */
export interface FoundSeries<S> {
  readonly series: S;
  readonly own: boolean;
}

/** Finds, or makes, the series of a set of labels. */
export type FindSeries<S> = (labels: Labels) => FoundSeries<S>;

/** Sets of labels a worker keeps apart: a request's take about 6 KB. */
const maxSeries = 2_000;

/** The series of one worker, all listeners together. */
export class IstioSeries {
  readonly #stats: StatsScope;
  readonly #logger: Logger;
  readonly #limit: number;
  readonly #requests = new Map<string, RequestSeries>();
  readonly #connections = new Map<string, ConnectionSeries>();
  #warned = false;

  constructor(stats: StatsScope, logger: Logger, limit: number = maxSeries) {
    this.#stats = stats;
    this.#logger = logger;
    this.#limit = limit;
  }

  /** The series of requests with these labels. */
  readonly requests: FindSeries<RequestSeries> = (labels) =>
    this.#find(this.#requests, labels, (text) => ({
      total: this.#stats.counter(`istio_requests_total{${text}}`),
      durationMs: this.#stats.histogram(`istio_request_duration_milliseconds{${text}}`),
      requestBytes: this.#stats.histogram(`istio_request_bytes{${text}}`),
      responseBytes: this.#stats.histogram(`istio_response_bytes{${text}}`),
      messages: !labels.some(([name, value]) => name === "request_protocol" && value === "grpc")
        ? undefined
        : {
            request: this.#stats.counter(`istio_request_messages_total{${text}}`),
            response: this.#stats.counter(`istio_response_messages_total{${text}}`),
          },
    }));

  /** The series of TCP connections with these labels. */
  readonly connections: FindSeries<ConnectionSeries> = (labels) =>
    this.#find(this.#connections, labels, (text) => ({
      opened: this.#stats.counter(`istio_tcp_connections_opened_total{${text}}`),
      closed: this.#stats.counter(`istio_tcp_connections_closed_total{${text}}`),
      sentBytes: this.#stats.counter(`istio_tcp_sent_bytes_total{${text}}`),
      receivedBytes: this.#stats.counter(`istio_tcp_received_bytes_total{${text}}`),
    }));

  #find<S>(known: Map<string, S>, labels: Labels, make: (text: string) => S): FoundSeries<S> {
    const text = labelText(labels);
    const found = known.get(text);
    if (found !== undefined) return { series: found, own: true };
    if (this.#requests.size + this.#connections.size >= this.#limit) {
      this.#warn();
      // The slab gives the same instruments for the same name.
      return { series: make(labelText(overflowLabels(labels))), own: false };
    }
    const made = make(text);
    known.set(text, made);
    return { series: made, own: true };
  }

  #warn(): void {
    if (this.#warned) return;
    this.#warned = true;
    this.#logger.warn('Istio metrics have too many label sets; new ones are counted together as "overflow"', { limit: this.#limit });
  }
}
