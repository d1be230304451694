// envoy.filters.http.compressor: compresses requests and responses whose type, length and route ask for it. Pieces are compressed as they
// come and flushed, so nothing is kept and a reader that is slow slows the sender.
import type { CompressedDirection, CompressorConfig, CompressorPerRoute } from "../../../envoy/http-filter/compressor.ts";
import type { HttpFilter, HttpFilterContext, HttpFilterSpec, FilterStatus } from "../../../http/filter.ts";
import { perRoute } from "../../../http/route/per-route.ts";
import type { HttpStream } from "../../../http/stream.ts";
import type { StatsScope } from "../../../telemetry/stats.ts";
import { Compressor, type CompressorSettings } from "../../../wire/content-coding.ts";
import type { HeaderMap } from "../../../wire/header-map.ts";
import { type Choice, chooseCoding, type Offer } from "./accept-encoding.ts";
import { countDirection, countResponses, type DirectionStats, type ResponseStats } from "./compressor-stats.ts";
import { addVary, hasToken, isUpgrade, refusesTransform, sanitizeEtag } from "./compressed-headers.ts";

/** The compressor filter. */
export const compressor: HttpFilterSpec = {
  extension: "envoy.filters.http.compressor",
  create: (config, context) => new CompressorFilter(config as CompressorConfig, context),
};

/** What is remembered about a stream. */
interface Compressed {
  readonly accept: string | undefined;
  request: Compressor | undefined;
  response: Compressor | undefined;
}

/** What the compressors of a stream's chain have told each other. */
interface Shared {
  readonly offers: Offer[];
  choice: Choice | undefined;
}

const sharedBy = new WeakMap<HttpStream, Shared>();
const statusField = "x-envoy-compression-status";
const noBytes = Buffer.alloc(0);

class CompressorFilter implements HttpFilter {
  readonly #config: CompressorConfig;
  readonly #override: (stream: HttpStream) => CompressorPerRoute | undefined;
  readonly #requests: Direction;
  readonly #responses: Direction;
  readonly #requestStats: DirectionStats;
  readonly #responseStats: ResponseStats;
  readonly #uncompressible: ReadonlySet<number>;
  readonly #offer: Offer;

  constructor(config: CompressorConfig, context: HttpFilterContext) {
    const { library, response } = config;
    this.#config = config;
    this.#override = perRoute(context.filterName, (model: CompressorPerRoute) => model);
    this.#requests = new Direction(config.request);
    this.#responses = new Direction(response);
    const scope: StatsScope = context.scope.scope(`compressor.${library.name}.${statName(library.settings)}`);
    this.#requestStats = countDirection(scope.scope("request"));
    this.#responseStats = countResponses(scope, response.explicit ? scope.scope("response") : scope);
    this.#uncompressible = new Set(response.uncompressibleCodes);
    this.#offer = { coding: library.settings.coding, chooseFirst: config.chooseFirst, suits: (type) => this.#responses.suits(type) };
  }

  onRequestHeaders(stream: HttpStream, endStream: boolean, index: number): FilterStatus {
    const { headers } = stream;
    const override = this.#override(stream);
    const state: Compressed = { accept: headers.getAll("accept-encoding"), request: undefined, response: undefined };
    (stream.filterState ??= [])[index] = state;
    if (this.#config.response.enabled || override?.enablesResponses === true) shareOffer(stream, this.#offerOf(override));
    const { settings } = override?.library ?? this.#config.library;
    if (
      !endStream &&
      this.#config.request.enabled &&
      override?.disabled !== true &&
      this.#requests.isLongEnough(headers.get("content-length"), this.#requestStats) &&
      this.#requests.allowsType(headers) &&
      !isUpgrade(stream) &&
      !headers.has("content-encoding") &&
      isTransferEncodingAllowed(headers)
    ) {
      encodeHead(headers, settings);
      this.#requestStats.compressed.inc();
      state.request = new Compressor(settings);
    } else this.#requestStats.notCompressed.inc();
    if (this.#responsesEnabled(override) && (override?.removeAcceptEncoding ?? this.#config.response.removeAcceptEncoding))
      headers.remove("accept-encoding");
    return "continue";
  }

  onRequestData(stream: HttpStream, data: Buffer, endStream: boolean, index: number): Buffer {
    const engine = stateOf(stream, index)?.request;
    return engine === undefined ? data : push(engine, data, endStream, this.#requestStats);
  }

  onRequestTrailers(stream: HttpStream, _trailers: HeaderMap, index: number): Buffer | undefined {
    const engine = stateOf(stream, index)?.request;
    return engine && push(engine, noBytes, true, this.#requestStats);
  }

  onResponseHeaders(stream: HttpStream, endStream: boolean, index: number): FilterStatus {
    const state = stateOf(stream, index);
    // A request that was answered before it came here has told nothing of what its client accepts.
    const headers = stream.responseHeaders!;
    const override = this.#override(stream);
    const stats = this.#responseStats;
    const { statusHeader, weakenEtag } = this.#config.response;
    // A 204 has no body whose length could be said.
    const length = stream.info.responseCode === 204 ? undefined : headers.get("content-length");
    const enabled = this.#responsesEnabled(override);
    const longEnough = enabled && this.#responses.isLongEnough(length, stats);
    const obstacle = longEnough ? this.#obstacle(stream, headers) : "ContentLengthTooSmall";
    const compressible = obstacle === undefined;
    // What Accept-Encoding came to is counted of incompressible responses too, unless the status is told.
    const chosen = longEnough && !endStream && (compressible || !statusHeader) && this.#isChosen(stream, headers, state, override);
    if (compressible && chosen && isTransferEncodingAllowed(headers) && state !== undefined) {
      const { settings } = override?.library ?? this.#config.library;
      sanitizeEtag(headers, weakenEtag);
      if (statusHeader) addVary(headers);
      encodeHead(headers, settings);
      if (statusHeader) headers.add(statusField, `${settings.coding};Compressed;OriginalLength=${length ?? ""}`);
      stats.compressed.inc();
      state.response = new Compressor(settings);
    } else {
      stats.notCompressed.inc();
      if (statusHeader && enabled && !endStream && obstacle !== undefined && obstacle !== "")
        headers.add(statusField, `${this.#offerOf(override).coding};${obstacle}`);
    }
    // Caches have to know also when this client's response is as it was.
    if (compressible) addVary(headers);
    return "continue";
  }

  onResponseData(stream: HttpStream, data: Buffer, endStream: boolean, index: number): Buffer {
    const engine = stateOf(stream, index)?.response;
    return engine === undefined ? data : push(engine, data, endStream, this.#responseStats);
  }

  onResponseTrailers(stream: HttpStream, _trailers: HeaderMap, index: number): Buffer | undefined {
    const engine = stateOf(stream, index)?.response;
    return engine && push(engine, noBytes, true, this.#responseStats);
  }

  onComplete(stream: HttpStream, index: number): void {
    const state = stateOf(stream, index);
    state?.request?.close();
    state?.response?.close();
  }

  #responsesEnabled(override: CompressorPerRoute | undefined): boolean {
    if (override?.disabled === true) return false;
    return override?.enablesResponses === true || this.#config.response.enabled;
  }

  /** Why a response is not to be compressed, in Envoy's word where it has one; undefined where it is. */
  #obstacle(stream: HttpStream, headers: HeaderMap): string | undefined {
    if (!this.#responses.allowsType(headers)) return "ContentTypeNotAllowed";
    if (isUpgrade(stream) || refusesTransform(headers)) return "";
    if (this.#config.response.disableOnEtag && headers.has("etag")) {
      this.#responseStats.notCompressedEtag.inc();
      return "EtagNotAllowed";
    }
    if (headers.has("content-encoding")) return "";
    return this.#uncompressible.has(stream.info.responseCode) ? "StatusCodeNotAllowed" : undefined;
  }

  #offerOf(override: CompressorPerRoute | undefined): Offer {
    const coding = override?.library?.settings.coding;
    return coding === undefined ? this.#offer : { ...this.#offer, coding };
  }

  #isChosen(stream: HttpStream, headers: HeaderMap, state: Compressed | undefined, override: CompressorPerRoute | undefined): boolean {
    const shared = sharedBy.get(stream);
    const choice = (shared !== undefined && (shared.choice ??= chooseCoding(state?.accept, shared.offers, mediaType(headers)))) || nothing;
    const chosen = choice.coding === this.#offerOf(override).coding;
    this.#responseStats.count(choice.why, chosen);
    return chosen;
  }
}

const nothing: Choice = { coding: "identity", why: "no_accept_header" };

function stateOf(stream: HttpStream, index: number): Compressed | undefined {
  return stream.filterState?.[index] as Compressed | undefined;
}

function shareOffer(stream: HttpStream, offer: Offer): void {
  const shared = sharedBy.get(stream);
  if (shared === undefined) sharedBy.set(stream, { offers: [offer], choice: undefined });
  else shared.offers.push(offer);
}

const statNames = { gzip: "gzip", br: "brotli", zstd: "zstd" } as const;

/** What Envoy's statistics call a coding. */
function statName({ coding }: CompressorSettings): string {
  return statNames[coding];
}

function encodeHead(headers: HeaderMap, { coding }: CompressorSettings): void {
  headers.remove("content-length");
  headers.set("content-encoding", coding);
}

function push(engine: Compressor, data: Buffer, end: boolean, stats: DirectionStats): Buffer {
  const bytes = engine.push(data, end);
  stats.uncompressedBytes.add(data.length);
  stats.compressedBytes.add(bytes.length);
  return bytes;
}

/** The media type, without parameters. */
function mediaType(headers: HeaderMap): string {
  return (headers.get("content-type") ?? "").split(";", 1)[0]!.trim().toLowerCase();
}

// A message that says how it is coded for its transfer is not touched.
function isTransferEncodingAllowed(headers: HeaderMap): boolean {
  const value = headers.get("transfer-encoding");
  return value === undefined || !["gzip", "deflate", "br", "zstd"].some((coding) => hasToken(value, coding));
}

/** Which messages of a direction are compressed. */
class Direction {
  readonly #model: CompressedDirection;
  readonly #types: ReadonlySet<string>;

  constructor(model: CompressedDirection) {
    this.#model = model;
    this.#types = new Set(model.contentTypes.map((type) => type.toLowerCase()));
  }

  isLongEnough(length: string | undefined, stats: DirectionStats): boolean {
    if (length === undefined || Number(length) >= this.#model.minContentLength) return true;
    stats.contentLengthTooSmall.inc();
    return false;
  }

  suits(type: string): boolean {
    return type === "" || this.#types.has(type);
  }

  allowsType(headers: HeaderMap): boolean {
    return !headers.has("content-type") || this.#types.has(mediaType(headers));
  }
}
