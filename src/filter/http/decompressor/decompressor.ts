// envoy.filters.http.decompressor: decompresses requests and responses of one coding as they come, each piece within a bound.
import type { DecompressedDirection, DecompressorConfig } from "../../../envoy/http-filter/decompressor.ts";
import type { FilterStatus, HttpFilter, HttpFilterContext, HttpFilterSpec } from "../../../http/filter.ts";
import type { HttpStream } from "../../../http/stream.ts";
import type { Counter, StatsScope } from "../../../telemetry/stats.ts";
import { type DecompressionFault, Decompressor } from "../../../wire/content-coding.ts";
import type { HeaderMap } from "../../../wire/header-map.ts";

/** The decompressor filter. */
export const decompressor: HttpFilterSpec = {
  extension: "envoy.filters.http.decompressor",
  create: (config, context) => new DecompressorFilter(config as DecompressorConfig, context),
};

/** One direction of one stream. */
interface Body {
  readonly engine: Decompressor;
  compressedBytes: number;
  uncompressedBytes: number;
}

interface Decompressed {
  request: Body | undefined;
  response: Body | undefined;
}

interface DirectionStats {
  readonly decompressed: Counter;
  readonly notDecompressed: Counter;
  readonly uncompressedBytes: Counter;
  readonly compressedBytes: Counter;
}

// What Envoy's statistics call a coding, a body that is none of it, and one that grows too much.
const statNames = {
  gzip: { library: "gzip", corrupt: "zlib_data_error", bomb: "zlib_data_error" },
  br: { library: "brotli", corrupt: "brotli_error", bomb: "brotli_output_overflow" },
  zstd: { library: "zstd", corrupt: "zstd_generic_error", bomb: "zstd_generic_error" },
} as const;

function countDirection(scope: StatsScope): DirectionStats {
  return {
    decompressed: scope.counter("decompressed"),
    notDecompressed: scope.counter("not_decompressed"),
    uncompressedBytes: scope.counter("total_uncompressed_bytes"),
    compressedBytes: scope.counter("total_compressed_bytes"),
  };
}

class DecompressorFilter implements HttpFilter {
  readonly #config: DecompressorConfig;
  readonly #requestStats: DirectionStats;
  readonly #responseStats: DirectionStats;
  readonly #faults: Readonly<Record<DecompressionFault, Counter>>;
  readonly #trailerPrefix: string;

  constructor(config: DecompressorConfig, context: HttpFilterContext) {
    this.#config = config;
    const { name, settings } = config.library;
    const { library, corrupt, bomb } = statNames[settings.coding];
    const scope = context.scope.scope(`decompressor.${name}.${library}`);
    this.#requestStats = countDirection(scope.scope("request"));
    this.#responseStats = countDirection(scope.scope("response"));
    const faults = scope.scope("decompressor_library");
    this.#faults = { corrupt: faults.counter(corrupt), bomb: faults.counter(bomb) };
    this.#trailerPrefix = `x-envoy-decompressor-${name.toLowerCase()}`;
  }

  onRequestHeaders(stream: HttpStream, endStream: boolean, index: number): FilterStatus {
    const { headers } = stream;
    const { request, response, advertise } = this.#config;
    const state: Decompressed = { request: undefined, response: undefined };
    (stream.filterState ??= [])[index] = state;
    if (response.enabled && advertise) this.#advertise(headers);
    if (!endStream) state.request = this.#begin(headers, request, this.#requestStats);
    return "continue";
  }

  onRequestData(stream: HttpStream, data: Buffer, endStream: boolean, index: number): Buffer {
    const body = stateOf(stream, index)?.request;
    return body === undefined ? data : this.#push(stream, body, data, endStream, this.#requestStats);
  }

  onRequestTrailers(stream: HttpStream, trailers: HeaderMap, index: number): undefined {
    this.#report(stateOf(stream, index)?.request, trailers);
  }

  onResponseHeaders(stream: HttpStream, endStream: boolean, index: number): FilterStatus {
    if (endStream) return "continue";
    const body = this.#begin(stream.responseHeaders!, this.#config.response, this.#responseStats);
    if (body !== undefined) {
      const state = stateOf(stream, index);
      if (state !== undefined) state.response = body;
      else (stream.filterState ??= [])[index] = { request: undefined, response: body } satisfies Decompressed;
    }
    return "continue";
  }

  onResponseData(stream: HttpStream, data: Buffer, endStream: boolean, index: number): Buffer {
    const body = stateOf(stream, index)?.response;
    return body === undefined ? data : this.#push(stream, body, data, endStream, this.#responseStats);
  }

  onResponseTrailers(stream: HttpStream, trailers: HeaderMap, index: number): undefined {
    this.#report(stateOf(stream, index)?.response, trailers);
  }

  onComplete(stream: HttpStream, index: number): void {
    const state = stateOf(stream, index);
    state?.request?.engine.close();
    state?.response?.engine.close();
  }

  /** The upstream may use this coding, whatever weight the client gave it. */
  #advertise(headers: HeaderMap): void {
    const { coding } = this.#config.library.settings;
    const others = (headers.getAll("accept-encoding") ?? "")
      .split(",")
      .filter((member) => member !== "" && member.split(";", 1)[0]!.trim().toLowerCase() !== coding);
    headers.set("accept-encoding", [...others, coding].join(","));
  }

  #begin(headers: HeaderMap, direction: DecompressedDirection, stats: DirectionStats): Body | undefined {
    const { settings } = this.#config.library;
    const codings = (headers.getAll("content-encoding") ?? "").split(",");
    const transformable = direction.ignoreNoTransform || !refusesTransform(headers);
    // The first is what Envoy takes off.
    if (!direction.enabled || !transformable || codings[0]!.trim().toLowerCase() !== settings.coding) {
      stats.notDecompressed.inc();
      return undefined;
    }
    stats.decompressed.inc();
    headers.remove("content-length");
    if (codings.length === 1) headers.remove("content-encoding");
    else headers.set("content-encoding", codings.slice(1).join(",").trim());
    return { engine: new Decompressor(settings), compressedBytes: 0, uncompressedBytes: 0 };
  }

  #push(stream: HttpStream, body: Body, data: Buffer, end: boolean, stats: DirectionStats): Buffer {
    const before = body.engine.fault;
    const bytes = body.engine.push(data);
    const { fault } = body.engine;
    if (before === undefined && fault !== undefined) this.#faults[fault].inc();
    body.compressedBytes += data.length;
    body.uncompressedBytes += bytes.length;
    stats.compressedBytes.add(data.length);
    stats.uncompressedBytes.add(bytes.length);
    if (end) this.#report(body, stream.addTrailers());
    return bytes;
  }

  #report(body: Body | undefined, trailers: HeaderMap): void {
    if (body === undefined) return;
    trailers.set(`${this.#trailerPrefix}-compressed-bytes`, String(body.compressedBytes));
    trailers.set(`${this.#trailerPrefix}-uncompressed-bytes`, String(body.uncompressedBytes));
  }
}

function stateOf(stream: HttpStream, index: number): Decompressed | undefined {
  return stream.filterState?.[index] as Decompressed | undefined;
}

function refusesTransform(headers: HeaderMap): boolean {
  return (headers.getAll("cache-control") ?? "").split(",").some((member) => member.trim().toLowerCase() === "no-transform");
}
