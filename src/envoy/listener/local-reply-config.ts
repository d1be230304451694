// HttpConnectionManager.local_reply_config: what becomes of the replies that the proxy makes itself.
import { type AccessLogFilter, decodeAccessLogFilter } from "../access-log.ts";
import { type BodyFormat, decodeBodyFormat } from "../body-format.ts";
import { decodeDataSource } from "../data-source.ts";
import type { Decoder } from "../decode/cursor.ts";
import { message } from "../decode/message.ts";
import { integer, list } from "../decode/scalars.ts";
import { decodeHeaderValueOption } from "../route/header-mutations.ts";
import type { HeaderValueOption } from "../route/route.ts";

/** ResponseMapper: changes to the replies that its filter passes. */
export interface ResponseMapper {
  readonly filter: AccessLogFilter;
  readonly statusCode?: number;
  /** Latin1 string of the body's bytes. */
  readonly body?: string;
  /** Takes the place of the configuration's own. */
  readonly format?: BodyFormat;
  readonly headersToAdd: readonly HeaderValueOption[];
}

/** LocalReplyConfig. */
export interface LocalReplyConfig {
  /** The first whose filter passes a reply is the one that counts. */
  readonly mappers: readonly ResponseMapper[];
  readonly format?: BodyFormat;
}

// A filter that is not honoured passes everything, which is right for logs and would change replies that nobody meant.
const decodeMapperFilter: Decoder<AccessLogFilter> = (json, at) => {
  const filter = decodeAccessLogFilter(json, at);
  if (passesAnything(filter)) at.error("not supported where it decides over replies");
  return filter;
};

function passesAnything(filter: AccessLogFilter): boolean {
  if (filter.kind !== "and" && filter.kind !== "or") return false;
  return filter.filters.length === 0 || filter.filters.some(passesAnything);
}

const decodeMapper = message("envoy.extensions.filters.network.http_connection_manager.v3.ResponseMapper", (m): ResponseMapper => ({
  filter: m.required("filter", decodeMapperFilter),
  ...m.maybe("statusCode", "status_code", integer(200, 599)),
  ...m.maybe("body", "body", (json, at) => Buffer.from(decodeDataSource(json, at)).toString("latin1")),
  ...m.maybe("format", "body_format_override", decodeBodyFormat),
  headersToAdd: m.field("headers_to_add", list(decodeHeaderValueOption, { max: 1000 }), []),
}));

/** LocalReplyConfig. */
export const decodeLocalReplyConfig: Decoder<LocalReplyConfig> = message(
  "envoy.extensions.filters.network.http_connection_manager.v3.LocalReplyConfig",
  (m) => ({
    mappers: m.field("mappers", list(decodeMapper), []),
    ...m.maybe("format", "body_format", decodeBodyFormat),
  }),
);
