// envoy.filters.http.grpc_stats: counts gRPC calls, their outcomes and their messages. A request that is not gRPC costs one look
// at its content type: bytes are looked at by an observer that only gRPC requests get, and never copied.
import type { GrpcStatsConfig } from "../../../envoy/http-filter/grpc-stats.ts";
import type { HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../http/filter.ts";
import { isGrpc } from "../../../http/grpc.ts";
import type { GrpcMessageObserver, HttpStream } from "../../../http/stream.ts";
import type { HeaderMap } from "../../../wire/header-map.ts";
import { GrpcMessageCounter } from "../../../wire/grpc-message-counter.ts";
import { createGrpcSeries, type GrpcSeries } from "./series.ts";

/** The filter that counts gRPC calls. */
export const grpcStats: HttpFilterSpec = {
  extension: "envoy.filters.http.grpc_stats",
  create: (config, context) => new GrpcStatsFilter(config as GrpcStatsConfig, context),
};

/** One call; as filter state it is what access logs show. */
class Call implements GrpcMessageObserver {
  readonly series: GrpcSeries | undefined;
  readonly #stream: HttpStream;
  readonly #emits: boolean;
  readonly #requests = new GrpcMessageCounter();
  readonly #responses = new GrpcMessageCounter();
  /** The upstream answers in gRPC, so that its bytes are messages. */
  grpcResponse = false;

  constructor(stream: HttpStream, series: GrpcSeries | undefined, emits: boolean) {
    this.#stream = stream;
    this.series = series;
    this.#emits = emits;
  }

  onRequestData(data: Buffer): void {
    const count = this.#requests.count(data);
    if (count > 0) this.#seen(count, "requestMessages");
  }

  onResponseData(data: Buffer): void {
    if (!this.grpcResponse) return;
    const count = this.#responses.count(data);
    if (count > 0) this.#seen(count, "responseMessages");
  }

  #seen(count: number, which: "requestMessages" | "responseMessages"): void {
    if (this.#emits) (this.#stream.info.filterState ??= new Map()).set(grpcStats.extension, this);
    this.series?.[which].add(count);
  }

  // Numbers of 64 bits are strings in proto JSON, and none is left out.
  toJSON(): object {
    const [request, response] = [this.#requests.total, this.#responses.total];
    return {
      ...(request > 0 && { request_message_count: String(request) }),
      ...(response > 0 && { response_message_count: String(response) }),
    };
  }

  toString(): string {
    return `${this.#requests.total},${this.#responses.total}`;
  }
}

class GrpcStatsFilter implements HttpFilter {
  readonly #config: GrpcStatsConfig;
  readonly #context: HttpFilterContext;
  readonly #seriesOf: ReturnType<typeof createGrpcSeries>;

  constructor(config: GrpcStatsConfig, context: HttpFilterContext) {
    this.#config = config;
    this.#context = context;
    this.#seriesOf = createGrpcSeries(config, context.stats);
  }

  onRequestHeaders(stream: HttpStream, _endStream: boolean, index: number): "continue" {
    if (!isGrpc(stream.headers)) return "continue";
    const cluster = stream.target && this.#context.clusters.get(stream.target.name);
    const series = cluster && this.#seriesOf(cluster, stream.path);
    const call = new Call(stream, series, this.#config.emitFilterState);
    (stream.filterState ??= [])[index] = call;
    stream.grpcMessages = call;
    return "continue";
  }

  onResponseHeaders(stream: HttpStream, endStream: boolean, index: number): "continue" {
    const call = stream.filterState?.[index] as Call | undefined;
    if (call === undefined) return "continue";
    const headers = stream.responseHeaders!;
    call.grpcResponse = stream.info.responseCode === 200 && isGrpc(headers);
    this.#ended(stream, call, headers, endStream);
    return "continue";
  }

  onResponseTrailers(stream: HttpStream, trailers: HeaderMap, index: number): undefined {
    const call = stream.filterState?.[index] as Call | undefined;
    if (call !== undefined) this.#ended(stream, call, trailers, true);
  }

  // A status may stand in the headers of a response that goes on, too.
  #ended({ info, nowMs }: HttpStream, { series }: Call, fields: HeaderMap, last: boolean): void {
    if (series === undefined) return;
    const status = fields.get("grpc-status");
    if (status !== undefined) series.ended(status);
    if (last && this.#config.enableUpstreamStats && info.firstUpstreamTxMs > 0 && info.firstUpstreamRxMs > 0)
      series.upstreamTime(nowMs - info.firstUpstreamTxMs);
  }
}
