// What a live case is: exact bytes to a listener, and how much to wait for. Nothing is said of the answer, which is Envoy's.
import type { Field } from "./h2-exchange.ts";

/** Bytes (latin1), a pause in milliseconds, or a wait until what came back contains a text. */
export type Step = string | number | { readonly until: string };

/** A case of any kind. */
export interface LiveCase {
  /** "group: what". */
  readonly name: string;
  /** By its name in the bootstrap (resources.ts). */
  readonly listener: string;
  readonly kind: "h1" | "h2" | "tcp";
  /** h1 and tcp: what is sent. */
  readonly send: readonly Step[];
  /** h2: frames after preface and SETTINGS, made when the case runs. */
  readonly frames?: () => readonly Buffer[];
  /** h1: complete responses to wait for; h2: streams. */
  readonly replies: number;
  /** Access-log records to wait for. A case with fewer takes a second longer, no more. */
  readonly records: number;
  /** Stats that count too, as the source of a regular expression: those that are not 0 after the case. */
  readonly stats?: string;
  /** As `stats`, of those that the case changed: by how much. */
  readonly counts?: string;
  /** The client sends its end after the last step. */
  readonly fin: boolean;
}

type Options = Partial<Omit<LiveCase, "name" | "kind" | "send">>;

const defaults = { listener: "main", replies: 1, records: 1, fin: false } as const;

/** A case over a plain connection, HTTP/1 unless it is something that looks a little like it. */
export function raw(name: string, send: Step | readonly Step[], options: Options = {}): LiveCase {
  return { ...defaults, name, kind: "h1", send: Array.isArray(send) ? (send as readonly Step[]) : [send as Step], ...options };
}

/** An HTTP/1.1 request with these header lines and Host lab. */
export function request(method: string, target: string, lines: readonly string[] = [], body = ""): string {
  return `${method} ${target} HTTP/1.1\r\nHost: lab\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n${body}`;
}

/** A GET case. */
export function get(name: string, target: string, lines: readonly string[] = [], options: Options = {}): LiveCase {
  return raw(name, request("GET", target, lines), options);
}

/** A case of HTTP/2 frames. */
export function frames(name: string, make: () => readonly Buffer[], options: Options = {}): LiveCase {
  return { ...defaults, name, kind: "h2", send: [], frames: make, ...options };
}

/** A connection without HTTP. */
export function tcp(name: string, listener: string, send: readonly Step[], options: Options = {}): LiveCase {
  return { ...defaults, listener, name, kind: "tcp", send, ...options };
}

/** Header fields of a request on stream 1 for HTTP/2. */
export function fields(path: string, ...more: readonly Field[]): readonly Field[] {
  return [[":method", "GET"], [":scheme", "http"], [":path", path], [":authority", "lab"], ...more];
}
