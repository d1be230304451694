// local_reply_config, compiled once: what the replies of the proxy's own look like before they go out.
import type { LocalReplyConfig, ResponseMapper } from "../envoy/listener/local-reply-config.ts";
import { compileLogFilter, type LogFilter } from "../telemetry/access-log/filter.ts";
import { compileBodyFormat, type CompiledBodyFormat } from "../telemetry/format/body-format.ts";
import { compileFormat } from "../telemetry/format.ts";
import type { StreamInfo } from "../telemetry/stream-info.ts";
import type { HeaderMap } from "../wire/header-map.ts";
import { compileLevel } from "./route/header-mutator.ts";
import type { HeaderMutator } from "./route/route-table.ts";

/** What a reply has become. */
export interface MappedReply {
  readonly status: number;
  readonly body: string;
  /** The body as gRPC's message: JSON has no line end there. */
  readonly message: string;
  /** Of a body that is not what it was, where headers were not given another by the mapper. */
  readonly contentType: string | undefined;
}

/** Maps a reply: its status, its body, and its headers, which change in place. */
export type ReplyMapper = (info: StreamInfo, status: number, body: string, headers: HeaderMap) => MappedReply;

interface Mapper {
  readonly matches: LogFilter;
  readonly model: ResponseMapper;
  readonly headers: HeaderMutator | undefined;
  readonly format: CompiledBodyFormat | undefined;
}

/** Compiles a configuration whose formats were checked; undefined where it changes nothing. */
export function compileReplyMapper(config: LocalReplyConfig | undefined): ReplyMapper | undefined {
  if (config === undefined || (config.mappers.length === 0 && config.format === undefined)) return undefined;
  const mappers = config.mappers.map(compileMapper);
  const own = compileBody(config.format);
  return (info, given, text, headers) => {
    info.responseCode = given;
    info.responseHeaders = headers;
    const mapper = mappers.find(({ matches }) => matches(info));
    const named = headers.get("content-type");
    const before = mapper?.model.body ?? text;
    mapper?.headers?.apply(headers, info);
    const status = mapper?.model.statusCode ?? given;
    info.responseCode = status;
    const format = mapper?.format ?? own;
    const body = format === undefined ? before : format.format(info, before);
    const changed = body !== text && headers.get("content-type") === named;
    const message = format?.contentType === "application/json" && body.endsWith("\n") ? body.slice(0, -1) : body;
    return { status, body, message, contentType: changed ? format?.contentType || "text/plain" : undefined };
  };
}

function compileMapper(model: ResponseMapper): Mapper {
  const changes = { requestAdd: [], requestRemove: [], responseAdd: model.headersToAdd, responseRemove: [] };
  const { response } = compileLevel(changes, (text) => compileFormat(text, { missing: "" }), [], []);
  return { matches: compileLogFilter(model.filter), model, headers: response, format: compileBody(model.format) };
}

function compileBody(format: LocalReplyConfig["format"]): CompiledBodyFormat | undefined {
  if (format === undefined) return undefined;
  const compiled = compileBodyFormat(format);
  if (!compiled.ok) throw new Error(compiled.issues.map((issue) => issue.message).join("; "));
  return compiled.value;
}
