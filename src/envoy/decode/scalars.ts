// Decoders of proto JSON's scalar, list and map forms.
import { type Cursor, type Decoder, describe, isObject } from "./cursor.ts";

/** Any string. */
export const text: Decoder<string> = (json, at) => {
  if (typeof json === "string") return json;
  at.error(`expected a string, got ${describe(json)}${typeof json === "number" || typeof json === "boolean" ? " (quote it)" : ""}`);
  return "";
};

/** A string of at least one character. */
export const nonEmpty: Decoder<string> = (json, at) => {
  const value = text(json, at);
  if (value === "" && typeof json === "string") at.error("must not be empty");
  return value;
};

const tokenPattern = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** An HTTP header name, in lower case; pseudo-header names are allowed. */
export const headerName: Decoder<string> = (json, at) => {
  const value = text(json, at);
  if (typeof json === "string" && !tokenPattern.test(value.startsWith(":") ? value.slice(1) : value)) at.error("not a header name");
  return value.toLowerCase();
};

/** `true` or `false`. */
export const bool: Decoder<boolean> = (json, at) => {
  if (typeof json === "boolean") return json;
  at.error(`expected true or false, got ${describe(json)}`);
  return false;
};

/** The only value Envoy accepts for `any: true` and its like. */
export const onlyTrue: Decoder<true> = (json, at) => {
  if (json !== true) at.error(`expected true, got ${describe(json)}`);
  return true;
};

const numeral = /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/;

function toNumber(json: unknown): number | undefined {
  if (typeof json === "number") return json;
  return typeof json === "string" && numeral.test(json) ? Number(json) : undefined;
}

/** A whole number within bounds; proto JSON also allows it as a string. */
export function integer(min: number, max: number): Decoder<number> {
  return (json, at) => {
    const value = toNumber(json);
    if (value === undefined || !Number.isInteger(value)) at.error(`expected a whole number, got ${describe(json)}`);
    else if (value < min || value > max) at.error(`expected a number from ${min} to ${max}, got ${value}`);
    else return value;
    return min > 0 ? min : 0;
  };
}

/** uint32. */
export const uint32 = integer(0, 0xffff_ffff);
/** int64 and uint64, as far as a number carries them exactly. */
export const int64 = integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
/** A TCP port, 0 allowed. */
export const port = integer(0, 65535);

/** double and float. */
export const double: Decoder<number> = (json, at) => {
  const value = toNumber(json);
  if (value !== undefined && Number.isFinite(value)) return value;
  at.error(`expected a number, got ${describe(json)}`);
  return 0;
};

const durationPattern = /^(-?\d{1,12})(\.\d{1,9})?s$/;

/** google.protobuf.Duration (`1.5s`, or seconds and nanos) in milliseconds; negative ones are refused, Envoy's v3 API has no use for them. */
export const duration: Decoder<number> = (json, at) => {
  let value: number | undefined;
  if (typeof json === "string") {
    const parts = durationPattern.exec(json);
    // Through nanoseconds as a whole number, so that 0.3s is 300 and not 299.99.
    if (parts)
      value = Number(parts[1]) * 1000 + (json.startsWith("-") ? -1 : 1) * (Number(`${parts[2] ?? ".0"}000000000`.slice(1, 10)) / 1e6);
  } else if (isObject(json) && Object.keys(json).every((key) => key === "seconds" || key === "nanos")) {
    const seconds = toNumber(json["seconds"] ?? 0);
    const nanos = toNumber(json["nanos"] ?? 0);
    if (seconds !== undefined && nanos !== undefined) value = seconds * 1000 + nanos / 1e6;
  }
  if (value === undefined) at.error(`expected a duration such as "1.5s", got ${describe(json)}`);
  else if (value < 0 || Object.is(value, -0)) at.error("a duration here must not be negative");
  else return value;
  return 0;
};

/** A duration longer than zero. */
export const positiveDuration: Decoder<number> = (json, at) => {
  const before = at.errors;
  const value = duration(json, at);
  if (value === 0 && at.errors === before) at.error("must be longer than 0s");
  return value;
};

/** An enum by name (in any case, as Envoy takes them) or number: the names with their proto numbers. The first is the neutral one. */
export function enumeration<Name extends string>(names: Readonly<Record<Name, number>>): Decoder<Name> {
  const all = Object.keys(names) as Name[];
  const byNumber = new Map<unknown, Name>(all.map((name) => [names[name], name]));
  const byName = new Map<string, Name>(all.map((name) => [name.toUpperCase(), name]));
  return (json, at) => {
    const named = typeof json === "string" ? byName.get(json.toUpperCase().replaceAll("-", "_")) : byNumber.get(json);
    if (named !== undefined) return named;
    at.error(`expected one of ${all.join(", ")}, got ${describe(json)}`);
    return all[0] as Name;
  };
}

/** A repeated field. */
export function list<T>(item: Decoder<T>, bounds: { readonly min?: number; readonly max?: number } = {}): Decoder<readonly T[]> {
  return (json, at) => {
    if (!Array.isArray(json)) {
      at.error(`expected a list, got ${describe(json)}`);
      return [];
    }
    if (json.length < (bounds.min ?? 0)) at.error(bounds.min === 1 ? "must not be empty" : `expected at least ${bounds.min} items`);
    if (json.length > (bounds.max ?? Infinity)) at.error(`expected at most ${bounds.max} items, got ${json.length}`);
    return json.map((entry: unknown, index) => at.in(index, item, entry));
  };
}

/** A list whose decoder may drop entries (it has said why). */
export function listOf<T>(item: Decoder<T | undefined>, bounds?: { readonly min?: number }): Decoder<readonly T[]> {
  const all = list(item, bounds);
  return (json, at) => all(json, at).filter((value) => value !== undefined);
}

/** A map field. */
export function record<T>(value: Decoder<T>): Decoder<Readonly<Record<string, T>>> {
  return (json, at) => {
    if (!isObject(json)) {
      at.error(`expected an object, got ${describe(json)}`);
      return {};
    }
    return Object.fromEntries(Object.entries(json).map(([key, entry]) => [key, at.in(key, value, entry)]));
  };
}

/** google.protobuf.Struct: an object of any JSON, as it is. */
export const struct: Decoder<Readonly<Record<string, unknown>>> = (json, at) => {
  if (isObject(json)) return json;
  at.error(`expected an object, got ${describe(json)}`);
  return {};
};

const base64Pattern = /^[A-Za-z0-9+/_-]*={0,2}$/;

/** bytes: base64, standard or URL-safe. */
export const bytes: Decoder<Uint8Array> = (json, at) => {
  const value = text(json, at);
  if (!base64Pattern.test(value)) at.error("expected base64");
  return Buffer.from(value, "base64");
};

/** Anything but absence, for fields whose presence is all that counts. */
export const presence: Decoder<true> = (json: unknown, at: Cursor) => {
  if (!isObject(json)) at.error(`expected an object, got ${describe(json)}`);
  return true;
};
