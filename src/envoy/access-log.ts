// Envoy accesslog.v3.AccessLog, narrowed to the file, stdout and stderr loggers.
import { decodeTextSource } from "./data-source.ts";
import { anyOf } from "./decode/any.ts";
import type { Cursor, Decoder } from "./decode/cursor.ts";
import { describe, isObject } from "./decode/cursor.ts";
import { emptyMessage, message } from "./decode/message.ts";
import { bool, enumeration, list, listOf, nonEmpty, text, uint32 } from "./decode/scalars.ts";
import { decodeHeaderMatcher } from "./string-matcher.ts";
import type { HeaderMatcher } from "./string-matcher.ts";

/** When a record is written (accesslog.v3.AccessLogFilter). */
export type AccessLogFilter =
  | { readonly kind: "status_code" | "duration"; readonly op: "EQ" | "GE" | "LE"; readonly value: number }
  | { readonly kind: "not_health_check" }
  | { readonly kind: "response_flag"; readonly flags: readonly string[] }
  | { readonly kind: "header"; readonly header: HeaderMatcher }
  | { readonly kind: "and" | "or"; readonly filters: readonly AccessLogFilter[] };

/** A JSON format: keys to format strings, nested objects and lists allowed. */
export type JsonFormat = string | number | boolean | null | readonly JsonFormat[] | { readonly [key: string]: JsonFormat };

/** Where and how records are written. */
export interface AccessLog {
  /** A file path; `/dev/stdout` and `/dev/stderr` for the stream loggers. */
  readonly path: string;
  readonly format: { readonly kind: "text"; readonly text: string } | { readonly kind: "json"; readonly json: JsonFormat };
  readonly omitEmptyValues: boolean;
  readonly filter?: AccessLogFilter;
}

/** Envoy's default text format, used when a log gives none. */
export const defaultAccessLogText =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ' +
  '%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" ' +
  '"%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n';

type Format = AccessLog["format"];
type Sink = Pick<AccessLog, "path" | "format" | "omitEmptyValues">;
const defaultFormat: Format = { kind: "text", text: defaultAccessLogText };

const textFormat =
  (decoder: Decoder<string>): Decoder<Format> =>
  (json, at) => ({ kind: "text", text: decoder(json, at) });

const jsonFormat: Decoder<Format> = (json, at) => {
  if (!isObject(json)) at.error(`expected an object of keys to formats, got ${describe(json)}`);
  return { kind: "json", json: isObject(json) ? toJsonFormat(json, at, 0) : {} };
};

// Ten levels are more than any log format has; deeper ones would only make every record slow.
const maxJsonDepth = 10;

function toJsonFormat(json: unknown, at: Cursor, depth: number): JsonFormat {
  if (depth > maxJsonDepth) at.error("nested too deeply for a log format");
  else if (Array.isArray(json)) return json.map((entry: unknown) => toJsonFormat(entry, at, depth + 1));
  else if (isObject(json)) return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, toJsonFormat(value, at, depth + 1)]));
  else if (typeof json === "string" || typeof json === "number" || typeof json === "boolean") return json;
  return null;
}

const decodeLogFormat = message("envoy.config.core.v3.SubstitutionFormatString", (m): Omit<Sink, "path"> => {
  m.accept("content_type", "json_format_options");
  return {
    format: m.requiredOneof<Format>(
      { text_format: textFormat(text), text_format_source: textFormat(decodeTextSource), json_format: jsonFormat },
      defaultFormat,
    ),
    omitEmptyValues: m.field("omit_empty_values", bool, false),
  };
});

const asSinkFormat =
  (decoder: Decoder<Format>): Decoder<Omit<Sink, "path">> =>
  (json, at) => ({ format: decoder(json, at), omitEmptyValues: false });

const decodeFileLog = message("envoy.extensions.access_loggers.file.v3.FileAccessLog", (m): Sink => ({
  path: m.required("path", nonEmpty),
  ...(m.oneof<Omit<Sink, "path">>({
    log_format: decodeLogFormat,
    format: asSinkFormat(textFormat(text)),
    json_format: asSinkFormat(jsonFormat),
    typed_json_format: asSinkFormat(jsonFormat),
  }) ?? { format: defaultFormat, omitEmptyValues: false }),
}));

const decodeStreamLog = (type: string, path: string): Decoder<Sink> =>
  message(type, (m) => ({ path, ...m.field("log_format", decodeLogFormat, { format: defaultFormat, omitEmptyValues: false }) }));

const decodeSink = anyOf<Sink | undefined>(
  {
    "envoy.extensions.access_loggers.file.v3.FileAccessLog": decodeFileLog,
    "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog": decodeStreamLog(
      "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
      "/dev/stdout",
    ),
    "envoy.extensions.access_loggers.stream.v3.StderrAccessLog": decodeStreamLog(
      "envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
      "/dev/stderr",
    ),
  },
  (type, at) => {
    at.warn(`${type} is not honoured: only file, stdout and stderr logs are`);
    return undefined;
  },
);

const decodeRuntimeNumber = message("envoy.config.core.v3.RuntimeUInt32", (m) => {
  m.accept("runtime_key");
  return m.field("default_value", uint32, 0);
});
const operator = enumeration({ EQ: 0, GE: 1, LE: 2 });
const decodeComparison = message("envoy.config.accesslog.v3.ComparisonFilter", (m) => ({
  op: m.field("op", operator, "EQ"),
  value: m.required("value", decodeRuntimeNumber),
}));

const comparison = (type: string, kind: "status_code" | "duration"): Decoder<AccessLogFilter> =>
  message(type, (m) => ({ kind, ...m.required("comparison", decodeComparison) }));
const combination = (type: string, kind: "and" | "or"): Decoder<AccessLogFilter> =>
  message(type, (m) => ({ kind, filters: m.required("filters", list(decodeAccessLogFilter, { min: 2 })) }));
const decodeNotHealthCheck = emptyMessage("envoy.config.accesslog.v3.NotHealthCheckFilter");

/** Passes every record: what stands in for a filter that is not honoured, so that nothing goes unlogged. */
const everything: AccessLogFilter = { kind: "and", filters: [] };
const passEverything: Decoder<AccessLogFilter> = (_json, at) => {
  at.warn("is not honoured: every record passes");
  return everything;
};

/** accesslog.v3.AccessLogFilter. */
const decodeAccessLogFilter: Decoder<AccessLogFilter> = message("envoy.config.accesslog.v3.AccessLogFilter", (m) =>
  m.requiredOneof<AccessLogFilter>(filterKinds, everything),
);

// Envoy's short names; a misspelt one would silently match nothing.
const responseFlags = new Set(
  "LH UH UT LR UR UF UC UO NR DI FI RL UAEX RLSE DC URX SI IH DPE UMSDR RFCF NFCF DT UPE NC OM DF DO DR UDO SE".split(" "),
);
const responseFlag: Decoder<string> = (json, at) => {
  const flag = text(json, at);
  if (typeof json === "string" && !responseFlags.has(flag)) at.error(`not a response flag: ${describe(flag)}`);
  return flag;
};

const filterKinds: Readonly<Record<string, Decoder<AccessLogFilter>>> = {
  status_code_filter: comparison("envoy.config.accesslog.v3.StatusCodeFilter", "status_code"),
  duration_filter: comparison("envoy.config.accesslog.v3.DurationFilter", "duration"),
  not_health_check_filter: (json, at) => (decodeNotHealthCheck(json, at), { kind: "not_health_check" }),
  and_filter: combination("envoy.config.accesslog.v3.AndFilter", "and"),
  or_filter: combination("envoy.config.accesslog.v3.OrFilter", "or"),
  header_filter: message("envoy.config.accesslog.v3.HeaderFilter", (m) => ({
    kind: "header",
    header: m.required("header", decodeHeaderMatcher),
  })),
  response_flag_filter: message("envoy.config.accesslog.v3.ResponseFlagFilter", (m) => ({
    kind: "response_flag",
    flags: m.field("flags", list(responseFlag), []),
  })),
  traceable_filter: passEverything,
  runtime_filter: passEverything,
  grpc_status_filter: passEverything,
  extension_filter: passEverything,
  metadata_filter: passEverything,
  log_type_filter: passEverything,
};

const decodeOne: Decoder<AccessLog | undefined> = message("envoy.config.accesslog.v3.AccessLog", (m) => {
  m.field("name", text, "");
  const filter = m.maybe("filter", "filter", decodeAccessLogFilter);
  const sink = m.required("typed_config", decodeSink);
  return sink && { ...sink, ...filter };
});

/** A list of accesslog.v3.AccessLog; loggers that are not honoured are left out with a warning. */
export const decodeAccessLogs: Decoder<readonly AccessLog[]> = listOf(decodeOne);
