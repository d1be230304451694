// The process log on pino: one line a record on stderr, as JSON or as text. The only file that knows pino.
import { pino } from "pino";
import type { LogFields, Logger } from "./logger.ts";

/** Levels of `--log-level`; Envoy's `critical` and `off` silence all below. */
export const logLevels = ["trace", "debug", "info", "warning", "error", "critical", "off"] as const;

/** One of `logLevels`. */
export type LogLevel = (typeof logLevels)[number];

/** How records look. */
export type LogStyle = "json" | "text";

/** A logger with its controls. */
export interface ProcessLogger extends Logger {
  setLevel(level: LogLevel): void;
  readonly level: LogLevel;
  /** Writes what is still in memory, blocking. */
  flush(): void;
}

/** Options of the process log. */
export interface ProcessLoggerOptions {
  /** Default `info`. */
  readonly level?: LogLevel;
  /** Default `text`. */
  readonly style?: LogStyle;
  /** Default standard error. */
  readonly write?: (line: string) => void;
  /** On every record, e.g. the worker's number. */
  readonly fields?: LogFields;
}

const pinoLevels: Readonly<Record<LogLevel, string>> = {
  trace: "trace",
  debug: "debug",
  info: "info",
  warning: "warn",
  error: "error",
  critical: "fatal",
  off: "silent",
};

/** Creates the process log of one thread. */
export function createProcessLogger(options: ProcessLoggerOptions = {}): ProcessLogger {
  // Asynchronous, so that a reader of stderr who has stopped reading does not stop the proxy; bounded for the same reason.
  const destination = options.write ? undefined : pino.destination({ dest: 2, sync: false, minLength: 0, maxLength: 1024 * 1024 });
  // Losing records is all that is left to do when standard error is gone.
  destination?.on("error", () => undefined);
  const write = options.write ?? ((line: string) => void destination!.write(line));
  const style = options.style ?? "text";
  const log = pino(
    {
      level: pinoLevels[options.level ?? "info"],
      base: options.fields ?? {},
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label === "warn" ? "warning" : label === "fatal" ? "critical" : label }) },
    },
    { write: style === "json" ? write : (line: string) => write(toText(line)) },
  );
  let level: LogLevel = options.level ?? "info";
  return {
    ...wrap(log),
    setLevel: (next) => {
      level = next;
      log.level = pinoLevels[next];
    },
    get level() {
      return level;
    },
    flush: () => {
      try {
        destination?.flushSync();
      } catch {
        // Standard error is gone or was never opened: nobody is left to tell.
      }
    },
  };
}

function wrap(log: pino.Logger): Logger {
  return {
    debug: (message, fields) => log.debug(fields ?? {}, message),
    info: (message, fields) => log.info(fields ?? {}, message),
    warn: (message, fields) => log.warn(fields ?? {}, message),
    error: (message, fields) => log.error(fields ?? {}, message),
    // A child shares the level at the time it is made, so it reads the parent's when it writes.
    child: (fields) => wrapChild(log, fields),
  };
}

function wrapChild(parent: pino.Logger, fields: LogFields): Logger {
  return {
    debug: (message, more) => parent.debug({ ...fields, ...more }, message),
    info: (message, more) => parent.info({ ...fields, ...more }, message),
    warn: (message, more) => parent.warn({ ...fields, ...more }, message),
    error: (message, more) => parent.error({ ...fields, ...more }, message),
    child: (more) => wrapChild(parent, { ...fields, ...more }),
  };
}

// `2026-01-01T00:00:00.000Z info message key=value`: values that are not plain words are JSON, so a record is one line.
function toText(line: string): string {
  const { level, time, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  let text = `${String(time)} ${String(level)} ${oneLineText(String(msg))}`;
  for (const [key, value] of Object.entries(fields))
    text += ` ${key}=${typeof value === "string" && /^[\w.:/@|~+-]+$/.test(value) ? value : JSON.stringify(value)}`;
  return `${text}\n`;
}

// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const oneLineText = (text: string): string => text.replace(/[\x00-\x1f\x7f]/g, (c) => JSON.stringify(c).slice(1, -1));
