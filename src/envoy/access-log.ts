// Envoy accesslog.v3.AccessLog, narrowed to the file, stdout and stderr loggers.
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
