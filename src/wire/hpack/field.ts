// A header field as HTTP/2 tables keep it: what a field means and whether it is valid is found out once, when it is first
// read, so that a field taken from a table costs neither validation nor a look-up.
import { fieldKind as http1Kind, knownFields } from "../known-fields.ts";

/** What a field is to a message. */
export const h2Kind = {
  keep: 0,
  /** Repeats are joined by a comma. */
  join: 1,
  method: 2,
  path: 3,
  scheme: 4,
  authority: 5,
  status: 6,
  protocol: 7,
  host: 8,
  contentLength: 9,
  cookie: 10,
  te: 11,
  expect: 12,
  /** Not allowed in any message (RFC 9113 section 8.2): unknown pseudo-fields, connection-specific fields, bad characters. */
  invalid: 13,
} as const;

/** A field of a table or a block. */
export interface HpackField {
  readonly name: string;
  readonly value: string;
  /** One of `h2Kind`. */
  readonly kind: number;
}

/** RFC 7541 section 4.1: what an entry counts beside its characters. */
export const entryOverhead = 32;

interface KnownName {
  readonly name: string;
  readonly kind: number;
}

const special: readonly (readonly [string, number])[] = [
  [":method", h2Kind.method],
  [":path", h2Kind.path],
  [":scheme", h2Kind.scheme],
  [":authority", h2Kind.authority],
  [":status", h2Kind.status],
  [":protocol", h2Kind.protocol],
  ["host", h2Kind.host],
  ["content-length", h2Kind.contentLength],
  ["cookie", h2Kind.cookie],
  ["te", h2Kind.te],
  ["expect", h2Kind.expect],
  ["connection", h2Kind.invalid],
  ["keep-alive", h2Kind.invalid],
  ["proxy-connection", h2Kind.invalid],
  ["transfer-encoding", h2Kind.invalid],
  ["upgrade", h2Kind.invalid],
];

const names: ReadonlyMap<string, KnownName> = new Map([
  ...[...knownFields.values()].map(({ name, kind }): [string, KnownName] => [
    name,
    { name, kind: kind === http1Kind.join ? h2Kind.join : h2Kind.keep },
  ]),
  ...special.map(([name, kind]): [string, KnownName] => [name, { name, kind }]),
]);

const token = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
// Control characters but tab, and white space at either end (RFC 9113 section 8.2.1).
// oxlint-disable-next-line no-control-regex
const badValue = /[\x00-\x08\x0a-\x1f\x7f]|^[ \t]|[ \t]$/;

/** Makes a field of what was read. */
export function createField(name: string, value: string): HpackField {
  const known = names.get(name);
  if (known === undefined) return { name, value, kind: token.test(name) && !badValue.test(value) ? h2Kind.keep : h2Kind.invalid };
  return { name: known.name, value, kind: badValue.test(value) ? h2Kind.invalid : known.kind };
}
