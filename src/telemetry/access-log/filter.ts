// Access-log filters as predicates over a finished stream.
import type { AccessLogFilter } from "../../envoy/access-log.ts";
import { compileHeaderMatcher } from "../../match/header-matcher.ts";
import { HeaderMap } from "../../wire/header-map.ts";
import { flag } from "../response-flag.ts";
import type { FlagName } from "../response-flag.ts";
import type { StreamInfo } from "../stream-info.ts";

/** Tells whether a stream is to be logged. */
export type LogFilter = (info: StreamInfo) => boolean;

const noHeaders = new HeaderMap();

/** Compiles a filter. Throws when a header's regex is not valid RE2 (the decoder has refused that before). */
export function compileLogFilter(model: AccessLogFilter): LogFilter {
  switch (model.kind) {
    case "status_code":
      return compare(model.op, model.value, (info) => info.responseCode);
    case "duration":
      return compare(model.op, model.value, (info) => Math.trunc(info.endMs - info.startMs));
    case "not_health_check":
      return (info) => !info.healthCheck;
    case "response_flag": {
      let mask = 0;
      for (const name of model.flags) mask |= Object.hasOwn(flag, name) ? flag[name as FlagName] : 0;
      return model.flags.length === 0 ? (info) => info.flags !== 0 : (info) => (info.flags & mask) !== 0;
    }
    case "header": {
      const test = compileHeaderMatcher(model.header);
      return (info) =>
        test({
          headers: info.requestHeaders ?? noHeaders,
          method: info.method,
          path: info.path,
          authority: info.authority,
          scheme: info.scheme,
        });
    }
    case "and":
    case "or": {
      const filters = model.filters.map(compileLogFilter);
      return model.kind === "and" ? (info) => filters.every((filter) => filter(info)) : (info) => filters.some((filter) => filter(info));
    }
  }
}

function compare(op: "EQ" | "GE" | "LE", value: number, read: (info: StreamInfo) => number): LogFilter {
  if (op === "EQ") return (info) => read(info) === value;
  return op === "GE" ? (info) => read(info) >= value : (info) => read(info) <= value;
}
