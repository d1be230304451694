// The door to access logs for the data path: compiled once per configuration, called once per finished stream.
import type { StreamInfo } from "./stream-info.ts";

/** Writes one record per finished stream, if its filter lets it through. */
export interface AccessLogger {
  log(info: StreamInfo): void;
}

/** A compiled substitution string (`%REQ(X)%`): the text for one stream; an operator without a value gives `-`. */
export type Formatter = (info: StreamInfo) => string;
