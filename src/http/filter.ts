// The contract of HTTP filters. A filter object is made once per configuration and shared by all its streams; what it
// remembers about one stream goes into `stream.filterState`.
import type { FilterDeps } from "../filter/filter.ts";
import type { HeaderMap } from "../wire/header-map.ts";
import type { HttpStream } from "./stream.ts";

/**
 * `continue` goes on to the next filter. `stop` holds the stream: either a local reply was sent, or the filter will call
 * `stream.continueRequest()` (or `continueResponse()`) later; body bytes are buffered meanwhile, within the buffer limit.
 */
export type FilterStatus = "continue" | "stop";

/**
 * An HTTP filter. Implement only what is needed: hooks that are absent cost nothing. Hooks must not throw. For a stream whose route
 * switches the filter off none is called but `onComplete`, because the route may have been another one before.
 */
export interface HttpFilter {
  /**
   * Request headers are complete (`stream.requestHeaders`, `stream.path`, `stream.route` ...; all mutable but the route).
   * @param index where this filter's state lives: `stream.filterState[index]`
   */
  onRequestHeaders?(stream: HttpStream, endStream: boolean, index: number): FilterStatus;
  /**
   * A piece of the request body; returns what goes on to the next filter (the same buffer, another, or an empty one).
   */
  onRequestData?(stream: HttpStream, data: Buffer, endStream: boolean, index: number): Buffer;
  /** May change the trailers; what it returns goes before them, as the body's last bytes. */
  onRequestTrailers?(stream: HttpStream, trailers: HeaderMap, index: number): Buffer | undefined;
  /** Response headers of the upstream or of a local reply (`stream.responseHeaders`, `stream.info.responseCode`). Reverse order. */
  onResponseHeaders?(stream: HttpStream, endStream: boolean, index: number): FilterStatus;
  onResponseData?(stream: HttpStream, data: Buffer, endStream: boolean, index: number): Buffer;
  /** As `onRequestTrailers`; a response whose trailers a filter emptied has none. */
  onResponseTrailers?(stream: HttpStream, trailers: HeaderMap, index: number): Buffer | undefined;
  /** The stream is over, however it ended: release what was held. Called once, before the access log is written. */
  onComplete?(stream: HttpStream, index: number): void;
  /** The filter's chain is gone, and its streams with it. */
  destroy?(): void;
}

/** What an HTTP filter is created for. */
export interface HttpFilterContext extends FilterDeps {
  /** `http.STAT_PREFIX` scope of the connection manager. */
  readonly scope: FilterDeps["stats"];
  /** The instance name in the configuration, which per-route overrides use (`stream.route?.filterConfig(name)`). */
  readonly filterName: string;
}

/** A kind of HTTP filter. */
export interface HttpFilterSpec {
  /** Canonical name, e.g. `envoy.filters.http.fault`. */
  readonly extension: string;
  /** A filter for this config, or undefined when it would do nothing. Never throws: config was decoded and validated before. */
  create(config: unknown, context: HttpFilterContext): HttpFilter | undefined;
}
