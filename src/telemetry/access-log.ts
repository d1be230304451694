// Access loggers from configuration: filter, format and sink of each, compiled once.
import type { AccessLog } from "../envoy/access-log.ts";
import type { Issue, Result } from "../error.ts";
import type { AccessLogger } from "./access-logger.ts";
import { compileLogFilter } from "./access-log/filter.ts";
import { compileJsonFormat, type RecordFormat } from "./access-log/json-format.ts";
import { RecordText } from "./access-log/record-text.ts";
import type { LogSinks } from "./access-log/sink.ts";
import { compileFormat } from "./format.ts";
import type { OperatorDeps } from "./format/operator.ts";
import type { Logger } from "./logger.ts";

/** What access loggers need; one per thread. */
export interface AccessLogDeps extends OperatorDeps {
  readonly sinks: LogSinks;
  readonly logger: Logger;
}

/** Makes the loggers of one list. A log whose format is not valid is left out and reported; the others stand. */
export function createAccessLoggers(configs: readonly AccessLog[], deps: AccessLogDeps): readonly AccessLogger[] {
  const loggers: AccessLogger[] = [];
  for (const config of configs) {
    const compiled = compileAccessLogFormat(config, deps);
    const problems = compiled.issues.map(describe);
    if (!compiled.ok) {
      deps.logger.error("access log left out", { path: config.path, problems });
      continue;
    }
    if (problems.length > 0) deps.logger.warn("access log format is not honoured in full", { path: config.path, problems });
    loggers.push(createLogger(config, compiled.value, deps.sinks));
  }
  return loggers;
}

/** Compiles a log's format alone, for checks of configuration. */
function compileAccessLogFormat(config: AccessLog, deps: OperatorDeps = {}): Result<RecordFormat> {
  if (config.format.kind === "json") return compileJsonFormat(config.format.json, config.omitEmptyValues, deps);
  const compiled = compileFormat(config.format.text, { ...deps, missing: config.omitEmptyValues ? "" : "-" });
  if (!compiled.ok) return compiled;
  const text = compiled.value;
  return { ...compiled, value: (info, out) => out.text(text(info)) };
}

function createLogger(config: AccessLog, format: RecordFormat, sinks: LogSinks): AccessLogger {
  const sink = sinks.get(config.path);
  const passes = config.filter && compileLogFilter(config.filter);
  return {
    log: (info) => {
      if (passes !== undefined && !passes(info)) return;
      record.clear();
      format(info, record);
      sink.append(record);
    },
  };
}

// Records are made one at a time.
const record = new RecordText();

const describe = (issue: Issue): string => (issue.path.length === 0 ? issue.message : `${issue.path.join(".")}: ${issue.message}`);
