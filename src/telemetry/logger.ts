// The process log: a narrow interface, so that only telemetry/ knows pino.

/** Fields of a log record, JSON-able. Never key material. */
export type LogFields = Readonly<Record<string, unknown>>;

/** A leveled, structured logger. `child` adds fields to every record. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  child(fields: LogFields): Logger;
}
